"""What a callback may ask of the module that it works in: one set of answers for a `GAN`, one for any other module.

`host_of` is the only place that asks whose module it is; callbacks have one path.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lightning_gan.foreign.added_penalty import AddedPenalties, JoinedPenalties, PenaltySteps
from lightning_gan.foreign.average import Average, ForeignAverage, OwnAverage, Shadow
from lightning_gan.foreign.growing import ForeignGrowing, Growing, OwnGrowing
from lightning_gan.foreign.observer import tensors_of
from lightning_gan.foreign.sampling import ForeignSampling, OwnSampling, SampledNetwork, Sampling
from lightning_gan.foreign.transformed_network import PlacedTransform, TransformBeforeNetwork, TransformInLoop
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.transforms import ImageTransform

CLOCK = "lightning_gan_images_seen"
"""Where checkpoints of a module that keeps no clock have the number of images seen."""


class Host(ABC):
    """The module that a callback works in."""

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
            setting: the callback and its argument, for the error.

        Raises:
            ValueError: if there is none, with the names of those that are there.
        """
        return network_of(self.module, path, setting=setting)

    @abstractmethod
    def averaged_copies(self, path: str) -> list[str]:
        """Attribute paths of the networks that hold averages of the one at `path`, and have to be built like it."""

    @abstractmethod
    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        """The module, for what only a `GAN` can do.

        Args:
            asker: the callback, for the error.
            problem: what is not known of other modules, for the error.
            remedy: what to do then, for the error.

        Raises:
            ValueError: if it is another module.
        """

    @abstractmethod
    def check_makes_images(self, asker: str) -> None:
        """Refuse a game that is about something else than images.

        Args:
            asker: the callback that draws or measures images, for the error.

        Raises:
            ValueError: if the module makes no images.
        """

    # ------------------------------------------------------------------ the clock

    @property
    @abstractmethod
    def clock_unit(self) -> str:
        """What a thousand of what the clock counts is called where people read it, such as "kimg"."""

    @abstractmethod
    def images_seen(self, *, counted: int) -> int:
        """Images that training has used, over all ranks: the module's own number, or else the `counted` one."""

    @abstractmethod
    def images_after(self, batch: Any, *, before: int, ranks: int) -> int | None:
        """Images that training has used when a batch is done; None if that is not known.

        Args:
            batch: this rank's batch.
            before: images seen before it.
            ranks: how many processes train.
        """

    @abstractmethod
    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        """Write the number of images into a checkpoint, unless the module saves it itself."""

    @abstractmethod
    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        """The number of images that a checkpoint holds, 0 if it holds none."""

    @abstractmethod
    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        """Where numbers of this moment belong on the axis that the module's own numbers have in loggers."""

    @abstractmethod
    def logged_axis(self, *, images_seen: int) -> dict[str, float]:
        """What has to be logged beside numbers so that Lightning puts them on that axis."""

    # ------------------------------------------------------------------ averaged weights

    @abstractmethod
    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        """The average of the generator's weights.

        Args:
            shadow: keeps the average of a module that has no network for it.
            path: the generator's attribute path in modules that are no `GAN`.
            setting: the callback and its argument, for errors.
        """

    @abstractmethod
    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        """Whether samples are those of averaged weights, if `ema` asks for them."""

    @final
    @contextmanager
    def averaged_weights(self, trainer: Trainer) -> Iterator[None]:
        """Inside, networks that are sampled have averaged weights, as far as callbacks average them."""
        with ExitStack() as stack:
            for callback in _averaging(trainer):
                stack.enter_context(callback.applied(self.module))
            yield

    # ------------------------------------------------------------------ what differs in more than an answer

    @abstractmethod
    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        """How images are made.

        Args:
            asker: the callback, for errors.
            settings: what has to be known of modules that are no `GAN`.
        """

    @abstractmethod
    def growing(self, paths: tuple[str, ...]) -> Growing:
        """How networks grow.

        Args:
            paths: the networks' attribute paths in modules that are no `GAN`.
        """

    @abstractmethod
    def place_transform(self, transform: ImageTransform, *, path: str, asker: str) -> PlacedTransform:
        """Let a network see images through a transform while it trains, until what is returned is removed.

        Args:
            transform: on the module's device.
            path: the network's attribute path.
            asker: the callback and its setting, for errors.
        """

    @property
    @abstractmethod
    def penalties(self) -> PenaltySteps:
        """How penalties join the players' steps."""


@final
class OwnHost(Host):
    """A `GAN`: it keeps the clock and the average, samples, grows and asks its penalties by itself."""

    def __init__(self, gan: GAN) -> None:
        self._gan = gan

    @property
    def module(self) -> LightningModule:
        return self._gan

    def averaged_copies(self, path: str) -> list[str]:
        root, _, rest = path.partition(".")
        return [f"generator_ema.{rest}".rstrip(".")] if root == "generator" else []

    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        return self._gan

    def check_makes_images(self, asker: str) -> None:
        if not self._gan.makes_images:
            raise ValueError(f"{asker}: {type(self._gan).__name__} makes no images; leave this callback out")

    @property
    def clock_unit(self) -> str:
        return self._gan.clock_unit

    def images_seen(self, *, counted: int) -> int:
        return self._gan.images_seen

    def images_after(self, batch: Any, *, before: int, ranks: int) -> int:
        return self._gan.images_seen

    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        """Nothing: it is part of the module's own state."""

    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        return self._gan.images_seen

    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        return images_seen // 1000

    def logged_axis(self, *, images_seen: int) -> dict[str, float]:
        return {"step": images_seen / 1000}  # a metric of this name is the loggers' axis

    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        return OwnAverage(self._gan)

    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        return ema and self._gan.averaged

    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        return OwnSampling(self._gan)

    def growing(self, paths: tuple[str, ...]) -> Growing:
        return OwnGrowing(self._gan)

    def place_transform(self, transform: ImageTransform, *, path: str, asker: str) -> PlacedTransform:
        if path == "discriminator":
            return TransformInLoop(self._gan, transform)
        return TransformBeforeNetwork(self.network(path, setting=asker), transform, asker=asker)

    @property
    def penalties(self) -> PenaltySteps:
        return JoinedPenalties()


@final
class ForeignHost(Host):
    """Any other LightningModule, of which nothing is known but what callbacks are told and observe."""

    def __init__(self, module: LightningModule) -> None:
        self._module = module

    @property
    def module(self) -> LightningModule:
        return self._module

    def averaged_copies(self, path: str) -> list[str]:
        return []

    def gan(self, asker: str, *, problem: str, remedy: str) -> GAN:
        raise ValueError(f"{asker}: {type(self._module).__name__} is no lightning_gan.GAN, so {problem}; {remedy}")

    def check_makes_images(self, asker: str) -> None:
        """Nothing: it is taken for granted."""

    @property
    def clock_unit(self) -> str:
        return "kimg"

    def images_seen(self, *, counted: int) -> int:
        return counted

    def images_after(self, batch: Any, *, before: int, ranks: int) -> int | None:
        first = next(tensors_of(batch), None)
        return None if first is None else before + first.shape[0] * ranks

    def save_clock(self, images_seen: int, checkpoint: dict[str, Any]) -> None:
        # The largest, because a callback that saves in the middle of a hook is ahead of those behind it.
        checkpoint[CLOCK] = max(images_seen, checkpoint.get(CLOCK, 0))

    def saved_clock(self, checkpoint: dict[str, Any]) -> int:
        images_seen: int = checkpoint.get(CLOCK, 0)
        return images_seen

    def logger_step(self, trainer: Trainer, *, images_seen: int) -> int:
        return trainer.global_step

    def logged_axis(self, *, images_seen: int) -> dict[str, float]:
        return {}

    def average(self, shadow: Shadow, *, path: str, setting: str) -> Average:
        return ForeignAverage(self._module, path, shadow, setting=setting)

    def uses_average(self, trainer: Trainer, *, ema: bool) -> bool:
        return bool(_averaging(trainer))

    def sampling(self, asker: str, settings: SampledNetwork) -> Sampling:
        return ForeignSampling(self._module, settings, asker=asker)

    def growing(self, paths: tuple[str, ...]) -> Growing:
        return ForeignGrowing(self._module, paths)

    def place_transform(self, transform: ImageTransform, *, path: str, asker: str) -> PlacedTransform:
        return TransformBeforeNetwork(self.network(path, setting=asker), transform, asker=asker)

    @property
    def penalties(self) -> PenaltySteps:
        return AddedPenalties(self._module)


def host_of(pl_module: LightningModule) -> Host:
    """The host of a callback, from the module.

    It is made anew for every question, because it has no state of its own: nothing has to be kept for as long as the
    module lives, nor forgotten when a callback or a module is copied.
    """
    return OwnHost(pl_module) if isinstance(pl_module, GAN) else ForeignHost(pl_module)


def _averaging(trainer: Trainer) -> list[AveragesGenerator]:
    return [callback for callback in trainer.callbacks if isinstance(callback, AveragesGenerator)]  # type: ignore[attr-defined]
