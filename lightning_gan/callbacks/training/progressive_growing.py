"""Progressive growing (Karras et al. 2018, arXiv:1710.10196): sets the active resolution of networks and images.

`schedules/growth.py` computes the resolution from the number of images seen.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.host_growing import Growing
from lightning_gan.schedules.growth import Growth, GrowthSchedule


@runtime_checkable
class TakesGrowthSchedule(Protocol):
    """A data module that reads images at the active resolution, in batches of the size that the schedule gives it.

    Attributes:
        schedule: schedule of the run; None without progressive growing.
    """

    schedule: GrowthSchedule | None


@runtime_checkable
class HasImageSize(Protocol):
    """A data module or a model that knows the size of its images.

    Attributes:
        image_size: full height and width of the images, in pixels.
    """

    image_size: int


class ProgressiveGrowing(ImageClock):
    """Grows the networks during training, and with them the real images, the batch size and the learning rate.

    In a `GAN` it calls `GAN.grow`. In other modules it calls `grow` of each of the `networks`, and resizes the
    4-dimensional tensor of each batch to the active resolution, with the same fading as in the generated images. The
    phase is saved, so that `test` and `predict` use the networks in the same phase.

    Args:
        start_resolution: height and width of the images at the start of training, in pixels.
        final_resolution: height and width of the images in the last stage, in pixels; None takes `image_size` of the
            data module or of the module.
        hold_kimg: thousands of images that each stage is stable for; one number per stage, or one for all stages.
        fade_kimg: thousands of images that each stage after the first takes to fade in; one number per such stage, or
            one for all.
        batch_sizes: global batch size by resolution, for the data modules of this package; a resolution that is not
            listed, and any other data module, keeps the dataloader's own batch size.
        learning_rates: learning rate by resolution, for all optimizers; a resolution that is not listed keeps the
            optimizer's own learning rate.
        reset_optimizers: whether the optimizers' moments are deleted at the start and at the end of each fade, as in
            the authors' code.
        scale_gradients: whether penalties use the gradient by the image upscaled to the final resolution, as for the
            authors' critics: ``resolution / final_resolution`` times the gradient by the small image. One gamma of R1,
            that of the final resolution, then suits all resolutions.
        networks: attribute paths of the growing networks in modules that are no `GAN`.
        real: function that takes the tensor of the real images out of a batch with several 4-dimensional tensors, in
            modules that are no `GAN`; None takes the only one. In a configuration it is the function's import path.

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
        real: Callable[[Any], Tensor] | None = None,
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
        self.real = real
        self.growth: Growth | None = None
        """Phase of the latest batch; None before the first batch."""
        self._own_learning_rates: list[list[float]] = []

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
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
        # Not in `setup`, because Lightning calls `configure_model`, in which networks may be made, after `setup`.
        self._growing(pl_module).check()
        # The learning rates of the settings: a checkpoint, loaded after this hook, holds the rates of its own stage.
        self._own_learning_rates = [[group["lr"] for group in own.param_groups] for own in trainer.optimizers]
        self._grow_networks(pl_module, self.schedule.at(self.images_seen))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Again, because strategies that shard load a checkpoint only after on_fit_start.
        self._grow_networks(pl_module, self.schedule.at(self.images_seen))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        growth = self.schedule.at(self.images_seen)
        self._grow_networks(pl_module, growth)
        if self.reset_optimizers and self.growth is not None and _phase(growth) != _phase(self.growth):
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
        if self.growth is not None and growth.resolution != self.growth.resolution and pl_module.device.type == "cuda":
            torch.cuda.empty_cache()  # the new stage cannot reuse memory blocks of the last stage's sizes
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
        """Whether the resolution after `now` images differs from that after `before` images."""
        return self.schedule.resolution_at(before) != self.schedule.resolution_at(now)

    def _find_final_resolution(self, trainer: Trainer, pl_module: LightningModule) -> int:
        if self.final_resolution is not None:
            return self.final_resolution
        for owner in (trainer.datamodule, pl_module):  # type: ignore[attr-defined]
            if isinstance(owner, HasImageSize):
                return owner.image_size
        raise ValueError(
            "ProgressiveGrowing: neither the data module nor the model has an image_size, so the final resolution is "
            "not known; give final_resolution"
        )

    def _grow_networks(self, pl_module: LightningModule, growth: Growth) -> None:
        scale = growth.resolution / self.schedule.final_resolution if self.scale_gradients else 1.0
        self._growing(pl_module).grow(growth, gradient_scale=scale)

    def _growing(self, pl_module: LightningModule) -> Growing:
        return host_of(pl_module).growing(self.networks, real=self.real)

    def _set_learning_rates(self, trainer: Trainer, growth: Growth) -> None:
        if not self.learning_rates:
            return
        for optimizer, own_rates in zip(trainer.optimizers, self._own_learning_rates, strict=True):
            for group, own in zip(optimizer.param_groups, own_rates, strict=True):
                rate = self.learning_rates.get(growth.resolution, own)
                base = group.setdefault("initial_lr", group["lr"])
                if base != rate:
                    # A learning rate schedule may have multiplied the rate already; keep its factor.
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
        """Brings the networks to the phase of the latest batch; a fit has done so already."""
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


def growing_of(trainer: Trainer) -> ProgressiveGrowing | None:
    """Returns the trainer's `ProgressiveGrowing` callback; None if it has none."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, ProgressiveGrowing)]  # type: ignore[attr-defined]
    return found[0] if found else None


def _phase(growth: Growth) -> tuple[int, bool]:
    """The resolution, and whether it is fading in; the optimizers are reset when one of them changes."""
    return growth.resolution, growth.fade_in < 1.0
