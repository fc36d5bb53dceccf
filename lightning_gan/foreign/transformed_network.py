"""Transforms of a discriminator's images: in the loop of a `GAN`, or in a hook on a network of any other module."""

from abc import ABC, abstractmethod
from typing import Any, final

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_gan.foreign.calls import changed_arguments
from lightning_gan.foreign.observer import names_of_arguments
from lightning_gan.foreign.structures import shape_text
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.transforms import ImageTransform, RealTransform

BATCHES_BEFORE_WARNING = 100
"""After this many batches there is a warning if the network whose images are transformed was never called."""


class PlacedTransform(ABC):
    """A transform that is applied to a discriminator's images until it is removed."""

    @abstractmethod
    def begin_batch(self, images_seen: int) -> None:
        """Update the transform before a batch.

        Args:
            images_seen: number of images that training has used before the batch.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove the transform. A second call does nothing."""


@final
class TransformInLoop(PlacedTransform):
    """A transform in one of the lists of a `GAN`, whose loop passes it the images seen and the player.

    Args:
        gan: model whose discriminator is given transformed images.
        transform: transform that is applied: of all images, or of the real ones alone.
    """

    def __init__(self, gan: GAN, transform: ImageTransform | RealTransform) -> None:
        self._transform = transform
        self._transforms = gan.real_transforms if isinstance(transform, RealTransform) else gan.image_transforms
        self._transforms.append(transform.to(gan.device))

    def begin_batch(self, images_seen: int) -> None:
        """Do nothing, because the loop updates the transform."""

    def remove(self) -> None:
        for index, module in enumerate(self._transforms):
            if module is self._transform:
                del self._transforms[index]
                return


@final
class TransformBeforeNetwork(PlacedTransform):
    """A hook that transforms the images of every call of a network in training mode.

    Args:
        network: network whose calls are changed, usually the discriminator.
        transform: transform that is applied.
        images: names of the arguments that are images; an empty tuple is for networks whose only tensor of
            floating-point numbers is the images.
        asker: name of the callback and its setting, for the error message.

    Raises:
        ValueError: when the network is called without such an argument, or if which argument the images are is not
            known.
    """

    def __init__(self, network: nn.Module, transform: ImageTransform, *, images: tuple[str, ...], asker: str) -> None:
        self._transform = transform
        self._images = images
        self._asker = asker
        self._names = names_of_arguments(network)
        self._batches, self._is_used, self._has_warned = 0, False, False
        self._hook = network.register_forward_pre_hook(self._transformed, with_kwargs=True)

    def begin_batch(self, images_seen: int) -> None:
        self._transform.begin_batch(images_seen)
        if self._batches == BATCHES_BEFORE_WARNING:
            self._warn_if_unused()
        self._batches += 1

    def remove(self) -> None:
        self._hook.remove()
        if self._batches:
            self._warn_if_unused()

    def _warn_if_unused(self) -> None:
        # No error, because there are discriminators that begin to train late.
        if not (self._is_used or self._has_warned):
            self._has_warned = True
            rank_zero_warn(
                f"{self._asker} was not called in training mode in {self._batches} batches, so that no image was "
                "transformed; give the attribute path of the network that the training step calls"
            )

    def _transformed(
        self, network: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not network.training:
            return arguments, keywords
        self._is_used = True
        floating: dict[str, Tensor] = {}

        def note(place: str, tensor: Tensor) -> Tensor:
            if tensor.is_floating_point():
                floating[place] = tensor
            return tensor

        changed_arguments(arguments, keywords, note, names=self._names)
        images = self._images or tuple(floating)
        if not images or any(place not in floating for place in images) or len(images) > max(len(self._images), 1):
            raise ValueError(self._undecided(floating))
        return changed_arguments(
            arguments,
            keywords,
            lambda place, tensor: self._transform(tensor) if place in images else tensor,
            names=self._names,
        )

    def _undecided(self, floating: dict[str, Tensor]) -> str:
        if not floating:
            return f"{self._asker} was called without floating-point images; convert them to float"
        seen = ", ".join(f"{place}: {shape_text(tensor)}" for place, tensor in floating.items())
        problem = f"has no image={list(self._images)}" if self._images else "does not tell which of them are images"
        return (
            f"{self._asker} was called with ({seen}), which {problem}; name all arguments that are real or generated "
            "images: image=[...]"
        )
