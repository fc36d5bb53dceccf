"""The schedule of top-k training: how many generated images are dropped (Sinha et al. 2020, arXiv:2002.06224)."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.clock import ImageClock, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.losses.top_k import TopK


class TopKSchedule(ImageClock):
    """Lowers the fraction of a `TopK` loss at intervals of images seen.

    At first the generator learns from all generated images, because the scores of an untrained discriminator do not
    rank them well.

    The module must be a `GAN` with `loss=TopK(...)`. It must not be compiled, because each k would be compiled anew.

    Args:
        factor: factor that the fraction is multiplied by after each interval, the paper's gamma, in (0, 1].
        every_kimg: thousands of images in an interval; in the paper it is one epoch, which is 50 for CIFAR-10.
        smallest_fraction: smallest value of the fraction, the paper's nu, in (0, 1].

    Raises:
        ValueError: for a number out of range, and at the start of training for another module, another loss, or
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
        """Returns the fraction, in (0, 1], for the batch that starts after `images_seen` images."""
        return max(self.factor ** (images_seen // self.every_images), self.smallest_fraction)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        loss_of(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        loss_of(pl_module).fraction = self.fraction_at(self.images_seen)


def loss_of(pl_module: LightningModule) -> TopK:
    """Returns the `TopK` loss of a module.

    Raises:
        ValueError: if the module is no `GAN`, its loss is not `TopK`, or its training step is compiled.
    """
    gan = host_of(pl_module).gan(
        "TopKSchedule",
        problem="which loss it trains with is not known",
        remedy="leave this callback out, and set loss.fraction of a lightning_gan.losses.TopK in the training step",
    )
    if not isinstance(gan.loss, TopK):
        raise ValueError(
            f"TopKSchedule has nothing to schedule: the loss is {type(gan.loss).__name__}; "
            f"give the model training=Training(loss=TopK(loss={type(gan.loss).__name__}()))"
        )
    if gan.settings.compile:
        raise ValueError("TopKSchedule: every k would be compiled anew; leave compile=True out of Training")
    return gan.loss
