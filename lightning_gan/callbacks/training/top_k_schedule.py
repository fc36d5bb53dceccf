"""When top-k training drops how many fakes (Sinha et al. 2020, arXiv:2002.06224)."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.clock import ImageClock, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.losses.top_k import TopK


class TopKSchedule(ImageClock):
    """Lowers the fraction of a `TopK` loss step by step, as a function of images seen.

    The generator first learns from all its fakes, while the critic's ranking of them means little.

    The module must be a `GAN` with `loss=TopK(...)`. It must not be compiled: every k would be a graph of its own.

    Args:
        factor: what the fraction is multiplied by at each step, the paper's gamma, above 0 and at most 1.
        every_kimg: thousands of images between two steps; the paper steps once per epoch, 50 for CIFAR-10.
        smallest_fraction: where it stops, the paper's nu, above 0 and at most 1.

    Raises:
        ValueError: for a number out of range, or at the start of training another module, another loss or
            `Training(compile=True)`.
    """

    def __init__(self, *, factor: float = 0.99, every_kimg: float = 50.0, smallest_fraction: float = 0.5) -> None:
        for name, value in (("factor", factor), ("smallest_fraction", smallest_fraction)):
            if not 0 < value <= 1:
                raise ValueError(f"TopKSchedule: {name}={value} must be above 0 and at most 1")
        self.factor = factor
        self.every_images = images_of_kimg("every_kimg", every_kimg)
        self.smallest_fraction = smallest_fraction

    def fraction_at(self, images_seen: int) -> float:
        """The fraction for the batch that starts after `images_seen` images."""
        return max(self.factor ** (images_seen // self.every_images), self.smallest_fraction)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        loss_of(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        loss_of(pl_module).fraction = self.fraction_at(self.images_seen)


def loss_of(pl_module: LightningModule) -> TopK:
    """The loss to schedule.

    Raises:
        ValueError: if the module is not a GAN, its loss is not `TopK`, or it is compiled.
    """
    gan = host_of(pl_module).gan(
        "TopKSchedule",
        problem="where its loss is, is not known",
        remedy="set the fraction of a TopK loss in its own training step",
    )
    if not isinstance(gan.loss, TopK):
        raise ValueError(
            f"TopKSchedule has nothing to schedule: the loss is {type(gan.loss).__name__}; "
            f"give the model loss=TopK(loss={type(gan.loss).__name__}())"
        )
    if gan.settings.compile:
        raise ValueError("TopKSchedule: every k would be compiled anew; leave the loop's compile=True out")
    return gan.loss
