"""Growing of a module's networks, and of the real images of its batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.foreign.structures import structure_text, tensors_of
from lightning_gan.layers.resampling import faded
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.growable import Growable
from lightning_gan.loop.networks import network_of
from lightning_gan.schedules.growth import Growth


class Growing(ABC):
    """Sets the resolution of a module's networks and of its real images."""

    @abstractmethod
    def check(self) -> None:
        """Check before training that the networks exist and can grow.

        Raises:
            ValueError: if a network does not exist or cannot grow.
        """

    @abstractmethod
    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        """Set the resolution of every network, and the weight of its newest blocks.

        Args:
            growth: phase of growing, with the resolution and the weight.
            gradient_scale: factor that converts a gradient with respect to these images into the gradient with respect
                to the full-size image (`Turn.gradient_scale`).
        """

    @abstractmethod
    def fade(self, batch: Any, growth: Growth) -> None:
        """Change the real images of a batch to the active resolution, blended in the same way as the fakes.

        Args:
            batch: batch of the module.
            growth: phase of growing, with the resolution and the weight of the newest blocks.

        Raises:
            ValueError: if the batch contains no images.
        """

    @abstractmethod
    def restore(self, growth: Growth) -> None:
        """Set the networks to the phase in which a checkpoint was saved."""


@final
class OwnGrowing(Growing):
    """Growing of a `GAN`, which changes its networks and images itself and saves the phase."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan

    def check(self) -> None:
        """Do nothing, because `GAN.grow` checks the networks when the first phase begins."""

    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        self.gan.grow(growth.resolution, growth.fade_in, gradient_scale=gradient_scale)

    def fade(self, batch: Any, growth: Growth) -> None:
        """Do nothing, because `GAN.prepare` fades the images."""

    def restore(self, growth: Growth) -> None:
        """Do nothing, because the phase is part of the module's own state."""


_scales: WeakKeyDictionary[LightningModule, dict[str, float]] = WeakKeyDictionary()


def gradient_scale_of(module: LightningModule, path: str) -> float:
    """The value of `Turn.gradient_scale` for a network of a module that is not a `GAN`; 1 if the network does not grow.

    Args:
        module: module that contains the network.
        path: attribute path of the network, or of a part of a network that grows.
    """
    scales = _scales.get(module, {})
    return next((scale for root, scale in scales.items() if f"{path}.".startswith(f"{root}.")), 1.0)


@final
class ForeignGrowing(Growing):
    """Growing of a module that is not a `GAN`.

    Args:
        module: module that contains the networks.
        paths: attribute paths of the networks.
        real: function that takes the tensor of the real images out of a batch; None takes the only one with four
            dimensions.
    """

    def __init__(
        self, module: LightningModule, paths: tuple[str, ...], real: Callable[[Any], Tensor] | None = None
    ) -> None:
        self.module = module
        self.paths = paths
        self.real = real

    def check(self) -> None:
        self._networks()

    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        for network in self._networks():
            network.grow(growth.resolution, growth.fade_in)
        _scales[self.module] = dict.fromkeys(self.paths, gradient_scale)

    def fade(self, batch: Any, growth: Growth) -> None:
        fade_batch(batch, growth, real=self.real)

    def restore(self, growth: Growth) -> None:
        self.grow(growth, gradient_scale=1.0)

    def _networks(self) -> list[Growable]:
        networks: list[Growable] = []
        for path in self.paths:
            network = network_of(self.module, path, setting="ProgressiveGrowing(networks=...)")
            if not isinstance(network, Growable):
                raise ValueError(
                    f"ProgressiveGrowing: {path!r} is a {type(network).__name__}, which cannot grow; "
                    "give it a method grow(resolution, fade_in)"
                )
            networks.append(network)
        return networks


@torch.no_grad()
def fade_batch(batch: Any, growth: Growth, *, real: Callable[[Any], Tensor] | None = None) -> None:
    """Change the images of a batch to the active resolution, blended in the same way as the fakes, in place.

    Args:
        batch: a tensor, or nested lists, tuples and mappings of tensors. Its tensor with 4 dimensions holds the images,
            `batch channels height width`, with any range of values.
        growth: phase of growing, with the resolution and the weight of the newest blocks.
        real: function that takes the images out of the batch, if it has several tensors with 4 dimensions.

    Raises:
        ValueError: if there is no such tensor, or there are several without `real`, or the height is not a multiple of
            the resolution.
    """
    tensor = _images_in(batch, real)
    images = tensor.float() if tensor.dtype == torch.uint8 else tensor
    images = faded(images, resolution=growth.resolution, fade_in=growth.fade_in)
    # The tensor's data are replaced, because tuples cannot be changed and a batch may be a single tensor.
    tensor.data = (images.round() if tensor.dtype == torch.uint8 else images).to(tensor.dtype)


def _images_in(batch: Any, real: Callable[[Any], Tensor] | None) -> Tensor:
    """The tensor of a batch that holds the images."""
    found = [tensor for tensor in tensors_of(batch) if tensor.dim() == 4]
    if not found:
        raise ValueError(
            f"ProgressiveGrowing: the batch, a {type(batch).__name__}, holds no images [batch, channels, height, "
            "width]; put them into a tensor, list, tuple or mapping, or train a lightning_gan.GAN"
        )
    if real is None:
        if len(found) > 1:
            raise ValueError(
                "ProgressiveGrowing: the batch has several tensors that may be the real images, "
                f"a {structure_text(batch)}; give real=, a function of the batch that returns the one that is resized"
            )
        return found[0]
    chosen = real(batch)
    if not any(tensor is chosen for tensor in found):
        raise ValueError(
            f"ProgressiveGrowing: real returned no tensor of the batch, a {structure_text(batch)}, but that tensor is "
            "resized in place; return the tensor itself, without a conversion"
        )
    return chosen
