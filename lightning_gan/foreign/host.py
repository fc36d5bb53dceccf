"""What callbacks work in, for a `GAN` and for any other module, behind one interface.

`host_of` is the only function that tests whether a module is a `GAN`, so that callbacks have the same code for both.
"""

from collections.abc import Callable
from typing import Any, final

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.foreign.added_penalty import AddedPenalties, JoinedPenalties, PenaltySteps
from lightning_gan.foreign.average import Average, ForeignAverage, OwnAverage, Shadow
from lightning_gan.foreign.host_growing import ForeignGrowing, Growing, OwnGrowing
from lightning_gan.foreign.host_interface import Host
from lightning_gan.foreign.host_sampling import (
    ForeignSampling,
    OwnSampling,
    SampledNetwork,
    Sampling,
    averaging_of,
)
from lightning_gan.foreign.placed_replacement import (
    PlacedReplacement,
    ReplacedBeforeNetwork,
    ReplacedInLoop,
    ReplacedSettings,
)
from lightning_gan.foreign.real_images import ForeignReals, OwnReals, RealImages, RealSettings
from lightning_gan.foreign.structures import samples_in
from lightning_gan.foreign.transformed_network import PlacedTransform, TransformBeforeNetwork, TransformInLoop
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.logged_numbers import exact
from lightning_gan.loop.transforms import ImageTransform, RealTransform

CLOCK = "lightning_gan_images_seen"
"""Key of the number of images seen in checkpoints of modules that are not a `GAN`."""


@final
class OwnHost(Host):
    """A `GAN`, which counts images, has averaged weights, samples, grows and adds penalties itself."""

    def __init__(self, gan: GAN) -> None:
        self._gan = gan

    @property
    def module(self) -> LightningModule:
        return self._gan

    def averaged_copies(self, path: str) -> list[str]:
        root, _, rest = path.partition(".")
        return [f"generator_ema.{rest}".rstrip(".")] if root == "generator" else []

    def use_averaged_copies(self) -> None:
        self._gan.averaged = True

    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        return self._gan

    def check_makes_images(self, asker: str) -> None:
        if not self._gan.makes_images:
            raise ValueError(f"{asker}: {type(self._gan).__name__} makes no images; leave this callback out")

    @property
    def neutral_score(self) -> float | None:
        loss = self._gan.loss
        return None if loss.ignores_shifts else loss.neutral_score

    @property
    def watches_numbers(self) -> bool:
        return True

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        gan = self._gan
        images, turns = gan.images_seen, gan.discriminator_turns_taken
        resolution, fade_in, scale = gan.resolution, gan.fade_in, gan.gradient_scale
        gan.load_state_dict(weights)
        gan.images_seen, gan.discriminator_turns_taken = images, turns
        if resolution is not None:
            gan.grow(resolution, fade_in, gradient_scale=scale)

    @property
    def counts_images(self) -> bool:
        return True

    @property
    def clock_unit(self) -> str:
        return self._gan.clock_unit

    def images_seen(self, *, counted: int) -> int:
        return self._gan.images_seen

    def images_after(self, batch: Any, *, before: int, ranks: int) -> int:
        return self._gan.images_seen

    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        """Do nothing, because the number is part of the module's own state."""

    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        return self._gan.images_seen

    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        return images_seen

    def logged_axis(self, *, images_seen: int) -> dict[str, Tensor]:
        return {"step": exact(images_seen)}  # Lightning uses a metric of this name as the position on the axis

    @property
    def keeps_average(self) -> bool:
        return True

    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        return OwnAverage(self._gan)

    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        return ema and self._gan.averaged

    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        return OwnSampling(self._gan)

    def real_images(self, settings: RealSettings) -> RealImages:
        return OwnReals(settings)

    def growing(self, paths: tuple[str, ...], *, real: Callable[[Any], Tensor] | None = None) -> Growing:
        return OwnGrowing(self._gan)

    def place_transform(
        self, transform: ImageTransform, *, path: str, images: tuple[str, ...], asker: str
    ) -> PlacedTransform:
        if path == "discriminator":
            return TransformInLoop(self._gan, transform)
        if not path.startswith("discriminator."):
            raise ValueError(
                f"{asker} is no part of the discriminator of {type(self._gan).__name__}, whose images are transformed; "
                "leave it out"
            )
        return TransformBeforeNetwork(self.network(path, setting=asker), transform, images=images, asker=asker)

    def place_real_transform(self, transform: RealTransform, settings: ReplacedSettings) -> PlacedReplacement:
        return ReplacedInLoop(self._gan, transform, settings)

    @property
    def penalties(self) -> PenaltySteps:
        return JoinedPenalties()


@final
class ForeignHost(Host):
    """A module that is not a `GAN`. Only the settings of callbacks and the calls of its networks are known."""

    def __init__(self, module: LightningModule) -> None:
        self._module = module

    @property
    def module(self) -> LightningModule:
        return self._module

    def averaged_copies(self, path: str) -> list[str]:
        return []

    def use_averaged_copies(self) -> None:
        """Do nothing, because the module has none."""

    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        raise ValueError(f"{asker}: {type(self._module).__name__} is no lightning_gan.GAN, so {problem}; {remedy}")

    def check_makes_images(self, asker: str) -> None:
        """Do nothing, because the module is assumed to make images."""

    @property
    def neutral_score(self) -> float | None:
        return 0.0

    @property
    def watches_numbers(self) -> bool:
        return False

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self._module.load_state_dict(weights)

    @property
    def counts_images(self) -> bool:
        return False

    @property
    def clock_unit(self) -> str:
        return "kimg"

    def images_seen(self, *, counted: int) -> int:
        return counted

    def images_after(self, batch: Any, *, before: int, ranks: int) -> int | None:
        samples = samples_in(batch)
        return None if samples is None else before + samples * ranks

    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        # The largest number is saved, because a callback that saves inside of a hook may have counted a batch that the
        # callbacks after it have not counted yet.
        checkpoint[CLOCK] = max(images_seen, checkpoint.get(CLOCK, 0))

    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        images_seen: int = checkpoint.get(CLOCK, 0)
        return images_seen

    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        return trainer.global_step

    def logged_axis(self, *, images_seen: int) -> dict[str, Tensor]:
        return {}

    @property
    def keeps_average(self) -> bool:
        return False

    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        return ForeignAverage(self._module, path, shadow, setting=setting)

    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        return bool(averaging_of(trainer))

    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        return ForeignSampling(self._module, settings, asker=asker)

    def real_images(self, settings: RealSettings) -> RealImages:
        return ForeignReals(settings)

    def growing(self, paths: tuple[str, ...], *, real: Callable[[Any], Tensor] | None = None) -> Growing:
        return ForeignGrowing(self._module, paths, real)

    def place_transform(
        self, transform: ImageTransform, *, path: str, images: tuple[str, ...], asker: str
    ) -> PlacedTransform:
        return TransformBeforeNetwork(self.network(path, setting=asker), transform, images=images, asker=asker)

    def place_real_transform(self, transform: RealTransform, settings: ReplacedSettings) -> PlacedReplacement:
        return ReplacedBeforeNetwork(self._module, transform, settings)

    @property
    def penalties(self) -> PenaltySteps:
        return AddedPenalties(self._module)


def host_of(pl_module: LightningModule) -> Host:
    """The host of callbacks in a module.

    Each call makes a new host. A host has no state of its own, so that nothing must be stored with the module, or be
    updated when a callback or a module is copied.

    Args:
        pl_module: module that the callbacks work in.
    """
    return OwnHost(pl_module) if isinstance(pl_module, GAN) else ForeignHost(pl_module)
