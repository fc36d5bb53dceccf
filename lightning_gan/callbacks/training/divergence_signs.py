"""Signs of divergence and of collapse: the gap of the logits, the norms of the gradients, and the variety of samples.

The numbers and their thresholds are heuristics of this package; no paper derives them. That the logits drift apart when
the discriminator wins, that spikes of the gradients come before a collapse, and that samples become alike in one, is
described for example in BigGAN (Brock et al. 2019, arXiv:1809.11096, section 4).
"""

from collections import Counter
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import norms_of_all
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.finite import gradients_of
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.monitors import look, watch_monitors
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.loop.turn import PLAYERS
from lightning_gan.tensors.draws_by_position import drawing
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import FakeImages, Images, Scalar

GRADIENT_NORM = "_gradient_norm"


def variety(fakes: FakeImages, reals: Images) -> Scalar:
    """How different fakes are among each other, relative to real images: 1 if as different, 0 if all are the same.

    It is the square root of the mean variance of a pixel over the fakes, divided by the same for the real images. The
    variance of a pixel is half of its mean squared difference between two images.

    Args:
        fakes: generated images, at least 2.
        reals: real images, at least 2.

    Example:
        >>> reals = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> variety(reals / 2, reals).item()
        0.5
    """
    return (fakes.var(dim=0).mean() / reals.var(dim=0).mean()).sqrt()


def _gan_of(pl_module: LightningModule) -> GAN:
    return host_of(pl_module).gan(
        "DivergenceSigns", problem="the inputs of its networks are not known", remedy="leave this callback out"
    )


class DivergenceSigns(ImageClock):
    """Logs signs of divergence and collapse of a `GAN`, and warns once of each number that stays beyond its threshold.

    The numbers are measured in the batches whose losses are logged, and logged under these names:

    - `signs/logit_gap`: the mean logit of real images minus that of generated ones.
    - `signs/discriminator_gradient_norm` and `signs/generator_gradient_norm`: the L2 norm of a player's whole gradient
      before it is clipped.
    - `signs/variety`: how different generated images are among each other, relative to real ones (`variety`).

    Networks are in evaluation mode for the measurement, and neither they nor the random numbers of the training change.
    It costs a forward pass of both networks for the batches that are logged.

    Args:
        largest_logit_gap: absolute value of the gap above which it warns; None never warns. The logits of a Wasserstein
            critic have no natural scale; raise it there.
        largest_gradient_norm: norm of a player's gradient above which it warns; None never warns.
        smallest_variety: variety below which it warns; None never warns.
        in_a_row: how many measurements in a row must be beyond a threshold before it warns.
        start_kimg: thousands of images before which it never warns, because untrained networks are beyond thresholds.
        images: largest number of images of a batch that are measured, on each rank.

    Raises:
        ValueError: for settings out of range, for a second one, and before training for a module that is no `GAN` of
            images.
    """

    def __init__(
        self,
        *,
        largest_logit_gap: float | None = 100.0,
        largest_gradient_norm: float | None = 10_000.0,
        smallest_variety: float | None = 0.1,
        in_a_row: int = 5,
        start_kimg: float = 10.0,
        images: int = 32,
    ) -> None:
        limits = {
            "largest_logit_gap": largest_logit_gap,
            "largest_gradient_norm": largest_gradient_norm,
            "smallest_variety": smallest_variety,
        }
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ValueError(f"DivergenceSigns: {name}={limit} must be positive; None never warns")
        if in_a_row < 1 or images < 2:
            raise ValueError(f"DivergenceSigns: in_a_row={in_a_row} must be at least 1 and images={images} at least 2")
        if start_kimg < 0:
            raise ValueError(f"DivergenceSigns: start_kimg={start_kimg} must not be negative")
        self.largest_logit_gap = largest_logit_gap
        self.largest_gradient_norm = largest_gradient_norm
        self.smallest_variety = smallest_variety
        self.in_a_row = in_a_row
        self.start_kimg = start_kimg
        self.images = images
        self._norms: dict[str, Tensor] = {}
        self._is_due = False
        self._beyond: Counter[str] = Counter()
        self._warned: set[str] = set()

    # ------------------------------------------------------------------ measuring

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="start_kimg")
        host_of(pl_module).check_makes_images("DivergenceSigns")
        _gan_of(pl_module)
        if stage == "fit":
            watch_monitors(trainer, prefixes=("signs/",))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._is_due = (batch_idx + 1) % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        self._norms.clear()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if not self._is_due or not (gradients := gradients_of(optimizer)):
            return
        index = next(place for place, own in enumerate(trainer.optimizers) if own is optimizer)
        norm = norms_of_all([gradient for _, gradient in gradients]).norm()
        self._norms[f"signs/{PLAYERS[index]}{GRADIENT_NORM}"] = norm

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not self._is_due:
            return
        with trainer.precision_plugin.train_step_context():
            signs = self._norms | self.measure(_gan_of(pl_module), batch)
        names, values = list(signs), torch.stack([value.float() for value in signs.values()])
        # The same on all ranks, so that they warn together. The gap and the variety are those of all ranks' images.
        means = trainer.strategy.reduce(values, reduce_op="mean")
        assert isinstance(means, Tensor)
        numbers = dict(zip(names, means.tolist(), strict=True))
        pl_module.log_dict(numbers)
        look(trainer, numbers.keys())
        self.warn(numbers)

    @torch.no_grad()
    def measure(self, gan: GAN, batch: Any) -> dict[str, Scalar]:
        """Returns the gap of the logits and the variety of some images of a batch, by the names they are logged under.

        Args:
            gan: model whose networks are measured.
            batch: batch of real images.
        """
        reals = gan.prepare(batch)
        reals = reals.rows(0, min(self.images, len(reals)))
        devices = [gan.device] if gan.device.type == "cuda" else []
        seed = derived_seed(gan.seed, "signs", gan.images_seen)
        with (
            torch.random.fork_rng(devices=devices),
            drawing(gan.device, seed=seed, first=0, parts=1),
            evaluation_mode(gan),
        ):
            draws = gan.draw("discriminator", reals, batch=reals, turn=0, left=())
            fakes = gan.generate(draws.latents, draws.labels)
            scores = gan.score_turn("discriminator", reals, draws, fakes)
        signs: dict[str, Scalar] = {}
        if scores.real_logits is not None:
            signs["signs/logit_gap"] = scores.real_logits.mean() - scores.fake_logits.mean()
        if len(reals) > 1:
            signs["signs/variety"] = variety(fakes, reals.images)
        return signs

    # ------------------------------------------------------------------ warning

    def warn(self, numbers: dict[str, float]) -> list[str]:
        """Warns of numbers that have stayed beyond their thresholds, each once, and returns the warnings.

        Args:
            numbers: the numbers by the names they are logged under.
        """
        warnings: list[str] = []
        for name, value in numbers.items():
            problem = self._problem(name, value) if self.kimg >= self.start_kimg else None
            self._beyond[name] = self._beyond[name] + 1 if problem else 0
            if self._beyond[name] >= self.in_a_row and name not in self._warned:
                self._warned.add(name)
                warnings.append(f"DivergenceSigns: {name} is {value:.3g} at {self.kimg:.3f} kimg, {problem}")
                rank_zero_warn(warnings[-1])
        return warnings

    def _problem(self, name: str, value: float) -> str | None:
        gap, norm, least = self.largest_logit_gap, self.largest_gradient_norm, self.smallest_variety
        if name == "signs/logit_gap" and gap is not None and abs(value) > gap:
            return (
                f"beyond largest_logit_gap={gap}: the discriminator separates all images; lower its learning rate, or "
                "add or strengthen a gradient penalty such as R1"
            )
        if name.endswith(GRADIENT_NORM) and norm is not None and value > norm:
            player = name.removeprefix("signs/").removesuffix(GRADIENT_NORM)
            return (
                f"above largest_gradient_norm={norm}: training is about to diverge, or a loss is scaled; lower "
                f"training.{player}_optimizer.lr, or limit the gradient by training.{player}_clip_norm"
            )
        if name == "signs/variety" and least is not None and value < least:
            return (
                f"below smallest_variety={least}: generated images are almost the same; go back to an earlier "
                "checkpoint, and lower the learning rates or strengthen the gradient penalty"
            )
        return None
