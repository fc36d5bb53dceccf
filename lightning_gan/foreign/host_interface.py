"""The interface between callbacks and the module that they work in: what differs between a `GAN` and others.

`host_of` in `foreign/host.py` makes it, of the kind that the module needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.foreign.added_penalty import PenaltySteps
from lightning_gan.foreign.average import Average, Shadow
from lightning_gan.foreign.host_growing import Growing
from lightning_gan.foreign.host_sampling import (
    SampledNetwork,
    Sampling,
    averages_applied,
    averaging_of,
)
from lightning_gan.foreign.placed_replacement import (
    PlacedReplacement,
    ReplacedSettings,
)
from lightning_gan.foreign.real_images import RealImages, RealSettings
from lightning_gan.foreign.transformed_network import PlacedTransform
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.transforms import ImageTransform, RealTransform


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
