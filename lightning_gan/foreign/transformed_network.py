"""Transforms of a discriminator's images: in the loop of a `GAN`, or in a hook on a network of any other module."""

from abc import ABC, abstractmethod
from typing import Any, final

from torch import Tensor, nn

from lightning_gan.loop.gan import GAN
from lightning_gan.loop.transforms import ImageTransform


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
    """A transform in the list `image_transforms` of a `GAN`, whose loop passes it the images seen and the player.

    Args:
        gan: model whose discriminator is given transformed images.
        transform: transform that is applied.
    """

    def __init__(self, gan: GAN, transform: ImageTransform) -> None:
        self._gan = gan
        self._transform = transform
        gan.image_transforms.append(transform.to(gan.device))

    def begin_batch(self, images_seen: int) -> None:
        """Do nothing, because the loop updates the transform."""

    def remove(self) -> None:
        others = [module for module in self._gan.image_transforms if module is not self._transform]
        self._gan.image_transforms = nn.ModuleList(others)


@final
class TransformBeforeNetwork(PlacedTransform):
    """A hook that transforms the first floating-point argument of every call of a network in training mode.

    Args:
        network: network whose calls are changed, usually the discriminator.
        transform: transform that is applied.
        asker: name of the callback and its setting, for the error message.

    Raises:
        ValueError: when the network is called without such an argument.
    """

    def __init__(self, network: nn.Module, transform: ImageTransform, *, asker: str) -> None:
        self._transform = transform
        self._asker = asker
        self._hook = network.register_forward_pre_hook(self._transformed, with_kwargs=True)

    def begin_batch(self, images_seen: int) -> None:
        self._transform.begin_batch(images_seen)

    def remove(self) -> None:
        self._hook.remove()

    def _transformed(
        self, network: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not network.training:
            return arguments, keywords
        for place, value in enumerate(arguments):
            if isinstance(value, Tensor) and value.is_floating_point():
                return (*arguments[:place], self._transform(value), *arguments[place + 1 :]), keywords
        for name, value in keywords.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                return arguments, {**keywords, name: self._transform(value)}
        raise ValueError(f"{self._asker} was called without floating-point images; convert them to float")
