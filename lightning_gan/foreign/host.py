"""The interface between callbacks and the module that they work in, for a `GAN` and for any other module.

`host_of` is the only function that tests whether a module is a `GAN`, so that callbacks have the same code for both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.foreign.added_penalty import AddedPenalties, JoinedPenalties, PenaltySteps
from lightning_gan.foreign.average import Average, ForeignAverage, OwnAverage, Shadow
from lightning_gan.foreign.host_growing import ForeignGrowing, Growing, OwnGrowing
from lightning_gan.foreign.host_sampling import (
    ForeignSampling,
    OwnSampling,
    SampledNetwork,
    Sampling,
    averages_applied,
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
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.transforms import ImageTransform, RealTransform

CLOCK = "lightning_gan_images_seen"
"""Key of the number of images seen in checkpoints of modules that are not a `GAN`."""


class Host(ABC):
    """The module that a callback works in, with all operations that differ between a `GAN` and other modules."""

    # ------------------------------------------------------------------ networks

    @property
    @abstractmethod
    def module(self) -> LightningModule:
        """The module itself."""

    @final
    def network(self, path: str, *, setting: str) -> nn.Module:
        """The network at an attribute path such as `"generator"` or `"nets.generator"`.

        Args:
            path: attribute names, joined by dots.
            setting: name of the callback and its argument, for the error message.

        Raises:
            ValueError: if there is no such network. The message lists the networks that exist.
        """
        return network_of(self.module, path, setting=setting)

    @abstractmethod
    def averaged_copies(self, path: str) -> list[str]:
        """Attribute paths of the networks that have averaged weights of the one at `path`, and so its structure.

        Args:
            path: attribute path of a network.
        """

    @abstractmethod
    def use_averaged_copies(self) -> None:
        """Makes the module sample from its averaged copies from now on, if it has some."""

    @abstractmethod
    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        """The module, typed as a `GAN`, for operations that only a `GAN` has.

        Args:
            asker: name of the callback, for the error message.
            problem: description of what is not known of other modules, for the error message.
            remedy: advice to the user, for the error message.

        Raises:
            ValueError: if the module is not a `GAN`.
        """

    @abstractmethod
    def check_makes_images(self, asker: str) -> None:
        """Check that the module makes images. Modules that are not a `GAN` are assumed to do so.

        Args:
            asker: name of the callback that draws or evaluates images, for the error message.

        Raises:
            ValueError: if the module makes no images.
        """

    @property
    @abstractmethod
    def neutral_score(self) -> float | None:
        """The discriminator's score of an image that it takes for neither real nor fake; None if there is none.

        It is assumed to be 0 in a module that is not a `GAN`. Wasserstein's costs do not depend on where scores lie.
        """

    @property
    @abstractmethod
    def watches_numbers(self) -> bool:
        """Whether the module itself notices numbers that are not finite."""

    @abstractmethod
    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Load the weights of an earlier checkpoint. The clock and the phase of growing stay as they are.

        Args:
            weights: the `state_dict` of the checkpoint.
        """

    # ------------------------------------------------------------------ the clock

    @property
    @abstractmethod
    def counts_images(self) -> bool:
        """Whether the module counts the images seen itself."""

    @property
    @abstractmethod
    def clock_unit(self) -> str:
        """Name of one thousand training samples in figures and log lines, such as "kimg"."""

    @abstractmethod
    def images_seen(self, *, counted: int) -> int:
        """Number of images that training has used, over all ranks.

        Args:
            counted: number that the callback has counted. It is the result if the module is not a `GAN`.
        """

    @abstractmethod
    def images_after(self, batch: Any, *, before: int, ranks: int) -> int | None:
        """Number of images that training has used after a batch, over all ranks; None if it is not known.

        Args:
            batch: batch of this rank.
            before: number of images seen before the batch.
            ranks: number of processes that train.
        """

    @abstractmethod
    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        """Write the number of images seen into a checkpoint, unless the module saves it itself."""

    @abstractmethod
    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        """The number of images seen in a checkpoint; 0 if the checkpoint does not contain it."""

    @abstractmethod
    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        """The present position on the step axis on which loggers have the module's own values.

        In a `GAN` it is the number of images seen, and in other modules Lightning's number of steps.

        Args:
            trainer: trainer of the module.
            images_seen: number of images that training has used.
        """

    @abstractmethod
    def logged_axis(self, *, images_seen: int) -> dict[str, Tensor]:
        """Values that must be logged together with others, so that Lightning logs these at the position `logger_step`.

        Args:
            images_seen: number of images that training has used.
        """

    # ------------------------------------------------------------------ averaged weights

    @property
    @abstractmethod
    def keeps_average(self) -> bool:
        """Whether the average of the generator's weights is a network of the module itself, and in its state dict."""

    @abstractmethod
    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        """The average of the generator's weights.

        Args:
            shadow: storage of the average of a module that is not a `GAN`.
            path: attribute path of the generator in a module that is not a `GAN`.
            setting: name of the callback and its argument, for error messages.
        """

    @abstractmethod
    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        """Whether samples are made with averaged weights.

        Args:
            trainer: trainer, whose callbacks may average weights.
            ema: False requests samples without averaged weights from a `GAN`.
        """

    @final
    @contextmanager
    def averaged_weights(self, trainer: Trainer) -> Iterator[None]:
        """Context manager inside of which networks have averaged weights, if callbacks of the trainer average them."""
        with averages_applied(averaging_of(trainer), self.module):
            yield

    # ------------------------------------------------------------------ sampling, growing, transforms, penalties

    @abstractmethod
    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        """The object that samples images from the module.

        Args:
            asker: name of the callback, for error messages.
            settings: generator, latents and classes of a module that is not a `GAN`.
        """

    @abstractmethod
    def real_images(self, settings: RealSettings) -> RealImages:
        """The object that takes the real images out of the module's batches.

        Args:
            settings: what the user states about the real images.
        """

    @abstractmethod
    def growing(self, paths: tuple[str, ...], *, real: Callable[[Any], Tensor] | None = None) -> Growing:
        """The object that sets the resolution of the module's networks.

        Args:
            paths: attribute paths of the networks in a module that is not a `GAN`.
            real: function that takes the real images out of the batches of a module that is not a `GAN`; None takes the
                only tensor with four dimensions.
        """

    @abstractmethod
    def place_transform(
        self, transform: ImageTransform, *, path: str, images: tuple[str, ...], asker: str
    ) -> PlacedTransform:
        """Apply a transform to the images that a network is given in training mode.

        Args:
            transform: transform on the module's device.
            path: attribute path of the network.
            images: names of the arguments that are images; an empty tuple if there is only one possibility. The
                discriminator of a `GAN` needs no names.
            asker: name of the callback and its setting, for error messages.

        Returns:
            The placed transform, whose method `remove` takes the transform away again.
        """

    @abstractmethod
    def place_real_transform(self, transform: RealTransform, settings: ReplacedSettings) -> PlacedReplacement:
        """Apply a transform to the real images of the discriminator's turns.

        Args:
            transform: transform on the module's device.
            settings: the discriminator, and how images are made in a module that is not a `GAN`.

        Returns:
            The placed transform, whose method `remove` takes the transform away again.

        Raises:
            ValueError: if the module's turns cannot be given other real images, or its images cannot be made.
        """

    @property
    @abstractmethod
    def penalties(self) -> PenaltySteps:
        """The object that adds penalties to the costs of the players."""


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
