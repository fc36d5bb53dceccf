"""Progressive growing (Karras et al. 2018, arXiv:1710.10196): tells everybody concerned which resolution it is.

When it is which resolution says `schedules/growth.py`, a pure function of images seen.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.growing import Growing
from lightning_gan.foreign.host import host_of
from lightning_gan.schedules.growth import Growth, GrowthSchedule


@runtime_checkable
class TakesGrowthSchedule(Protocol):
    """A data module that reads images at the active resolution, in batches of its size."""

    schedule: GrowthSchedule | None


@runtime_checkable
class HasImageSize(Protocol):
    """A data module or a model that knows the full size of its images in pixels."""

    image_size: int


class ProgressiveGrowing(ImageClock):
    """Lets the networks grow while they train; grows the real images, their batches and the learning rate with them.

    In a `GAN` it calls `GAN.grow`. In other modules it calls `grow` of the `networks`, and brings the first
    4-dimensional tensor of each batch to the active resolution, faded like the fakes. The phase is saved, so that
    `test` and `predict` see the networks as they were.

    Args:
        start_resolution: the size training starts at.
        final_resolution: the size it ends at; None takes `image_size` of the data module, or of the module.
        hold_kimg: thousands of images each stage is stable for, one number per stage or one for all.
        fade_kimg: thousands of images each later stage takes to fade in, one per stage but the first, or one for all.
        batch_sizes: global batch size by resolution, for the package's data modules; elsewhere the loader's own.
        learning_rates: learning rate by resolution, for all optimizers; the optimizer's own where one is missing.
        reset_optimizers: forget the optimizers' moments at the start and at the end of each fade, as the authors do.
        scale_gradients: have penalties see the gradient by the image upscaled to the final resolution, as the authors'
            critics do: ``resolution / final_resolution`` times the gradient by the small image. R1's gamma then means
            the one of the final resolution.
        networks: attribute paths of the growing networks in modules that are no `GAN`.

    Raises:
        ValueError: for an impossible schedule, an unknown final resolution, networks that cannot grow, or batches
            without images.
    """

    schedule: GrowthSchedule

    def __init__(
        self,
        *,
        start_resolution: int = 4,
        final_resolution: int | None = None,
        hold_kimg: float | list[float] = 600.0,
        fade_kimg: float | list[float] = 600.0,
        batch_sizes: dict[int, int] | None = None,
        learning_rates: dict[int, float] | None = None,
        reset_optimizers: bool = True,
        scale_gradients: bool = True,
        networks: tuple[str, ...] = ("generator", "discriminator"),
    ) -> None:
        self.start_resolution = start_resolution
        self.final_resolution = final_resolution
        self.hold_kimg = hold_kimg
        self.fade_kimg = fade_kimg
        self.batch_sizes = dict(batch_sizes or {})
        self.learning_rates = dict(learning_rates or {})
        self.reset_optimizers = reset_optimizers
        self.scale_gradients = scale_gradients
        self.networks = networks
        self.growth: Growth | None = None
        """The phase of the batch played last; None before the first."""
        self._own_learning_rates: list[list[float]] = []

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._growing(pl_module).check()
        if stage != "fit":
            return
        self.schedule = GrowthSchedule(
            final_resolution=self._find_final_resolution(trainer, pl_module),
            start_resolution=self.start_resolution,
            hold_kimg=self.hold_kimg,
            fade_kimg=self.fade_kimg,
            batch_sizes=self.batch_sizes,
            learning_rates=self.learning_rates,
        )
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(datamodule, TakesGrowthSchedule):
            datamodule.schedule = self.schedule

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        # The settings' rates: a checkpoint, loaded after this hook, brings the rates of its own stage.
        self._own_learning_rates = [[group["lr"] for group in own.param_groups] for own in trainer.optimizers]
        self._tell(pl_module, self.schedule.at(self.images_seen))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Again, because strategies that shard load a checkpoint only after on_fit_start.
        self._tell(pl_module, self.schedule.at(self.images_seen))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        growth = self.schedule.at(self.images_seen)
        self._tell(pl_module, growth)
        if self.reset_optimizers and self.growth is not None and _phase(growth) != _phase(self.growth):
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
        if self.growth is not None and growth.resolution != self.growth.resolution and pl_module.device.type == "cuda":
            torch.cuda.empty_cache()  # blocks of the last stage's sizes are of no use, and the next needs more
        self._set_learning_rates(trainer, growth)
        self._growing(pl_module).fade(batch, growth)
        self.growth = growth

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            assert self.growth is not None
            pl_module.log_dict(
                {
                    "growth/resolution": float(self.growth.resolution),
                    "growth/fade_in": self.growth.fade_in,
                    "growth/batch_size": float(self.images_seen - self.images_before),
                }
            )

    def changes_resolution(self, before: int, now: int) -> bool:
        """Whether another resolution holds after `now` images than after `before`."""
        return self.schedule.resolution_at(before) != self.schedule.resolution_at(now)

    def _find_final_resolution(self, trainer: Trainer, pl_module: LightningModule) -> int:
        if self.final_resolution is not None:
            return self.final_resolution
        for owner in (trainer.datamodule, pl_module):  # type: ignore[attr-defined]
            if isinstance(owner, HasImageSize):
                return owner.image_size
        raise ValueError(
            "ProgressiveGrowing: neither the data module nor the model has an image_size, so it is not known how far "
            "to grow; give final_resolution"
        )

    def _tell(self, pl_module: LightningModule, growth: Growth) -> None:
        scale = growth.resolution / self.schedule.final_resolution if self.scale_gradients else 1.0
        self._growing(pl_module).grow(growth, gradient_scale=scale)

    def _growing(self, pl_module: LightningModule) -> Growing:
        return host_of(pl_module).growing(self.networks)

    def _set_learning_rates(self, trainer: Trainer, growth: Growth) -> None:
        if not self.learning_rates:
            return
        for optimizer, own_rates in zip(trainer.optimizers, self._own_learning_rates, strict=True):
            for group, own in zip(optimizer.param_groups, own_rates, strict=True):
                rate = self.learning_rates.get(growth.resolution, own)
                base = group.setdefault("initial_lr", group["lr"])
                if base != rate:
                    # A schedule may have multiplied the rate already, before or after this callback; keep its factor.
                    group["lr"] = rate * (group["lr"] / base)
                    group["initial_lr"] = rate

    # ------------------------------------------------------------------ the saved phase

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(pl_module)

    def _restore(self, pl_module: LightningModule) -> None:
        """Networks as they were for the last batch, outside of a fit, which has told them already."""
        if self.growth is not None:
            self._growing(pl_module).restore(self.growth)

    def state_dict(self) -> dict[str, Any]:
        if self.growth is None:
            return super().state_dict()
        return super().state_dict() | {"resolution": self.growth.resolution, "fade_in": self.growth.fade_in}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if "resolution" in state_dict:
            self.growth = Growth(resolution=state_dict["resolution"], fade_in=state_dict["fade_in"])


def _phase(growth: Growth) -> tuple[int, bool]:
    """What a reset of the optimizers depends on: the resolution, and whether it is fading in."""
    return growth.resolution, growth.fade_in < 1.0
