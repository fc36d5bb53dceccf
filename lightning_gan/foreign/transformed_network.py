"""Image transforms in front of a critic: as a part of our own loop, or as a hook on a network of any other module."""

from abc import ABC, abstractmethod
from typing import Any, final

from torch import Tensor, nn

from lightning_gan.loop.gan import GAN
from lightning_gan.loop.transforms import ImageTransform


class PlacedTransform(ABC):
    """A transform that stands in front of a critic until it is removed."""

    @abstractmethod
    def begin_batch(self, images_seen: int) -> None:
        """A batch begins after `images_seen` images."""

    @abstractmethod
    def remove(self) -> None:
        """Take the transform away; a second call does nothing."""


@final
class TransformInLoop(PlacedTransform):
    """A transform among the `image_transforms` of a `GAN`, whose loop also tells it the clock and the player.

    Args:
        gan: whose discriminator sees images through the transform.
        transform: the transform.
    """

    def __init__(self, gan: GAN, transform: ImageTransform) -> None:
        self._gan = gan
        self._transform = transform
        gan.image_transforms.append(transform.to(gan.device))

    def begin_batch(self, images_seen: int) -> None:
        """Nothing: the loop does it."""

    def remove(self) -> None:
        others = [module for module in self._gan.image_transforms if module is not self._transform]
        self._gan.image_transforms = nn.ModuleList(others)


@final
class TransformBeforeNetwork(PlacedTransform):
    """A transform of the first floating-point argument of every call of a network in training mode.

    Args:
        network: the critic.
        transform: the transform.
        asker: the callback and its setting, for the error.

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
        raise ValueError(f"{self._asker} was called without floating-point images")
