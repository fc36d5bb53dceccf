"""How the networks of a module grow, and the images of its batches with them."""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from lightning.pytorch import LightningModule

from lightning_gan.foreign.observer import tensors_of
from lightning_gan.layers.resampling import faded
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.growable import Growable
from lightning_gan.loop.networks import network_of
from lightning_gan.schedules.growth import Growth


class Growing(ABC):
    """Tells a module's networks how far they have grown."""

    @abstractmethod
    def check(self) -> None:
        """Refuse networks that are not there or cannot grow, before anything runs.

        Raises:
            ValueError: naming the network.
        """

    @abstractmethod
    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        """Bring every network to a phase.

        Args:
            growth: the phase.
            gradient_scale: see `Turn.gradient_scale`.
        """

    @abstractmethod
    def fade(self, batch: Any, growth: Growth) -> None:
        """Give the real images of a batch the active resolution, faded like the fakes.

        Raises:
            ValueError: for a batch without images.
        """

    @abstractmethod
    def restore(self, growth: Growth) -> None:
        """Bring networks to the phase that a checkpoint was saved in."""


@final
class OwnGrowing(Growing):
    """A `GAN` grows its networks and its images by itself, and saves how far they are."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan

    def check(self) -> None:
        """Nothing: the first phase is refused if it does not fit."""

    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        self.gan.grow(growth.resolution, growth.fade_in, gradient_scale=gradient_scale)

    def fade(self, batch: Any, growth: Growth) -> None:
        """Nothing: `GAN.prepare` does it."""

    def restore(self, growth: Growth) -> None:
        """Nothing: the phase is part of the module's own state."""


@final
class ForeignGrowing(Growing):
    """The networks of any other module, found by their attribute paths.

    Args:
        module: has the networks.
        paths: attribute paths of the networks.
    """

    def __init__(self, module: LightningModule, paths: tuple[str, ...]) -> None:
        self.module = module
        self.paths = paths

    def check(self) -> None:
        self._networks()

    def grow(self, growth: Growth, *, gradient_scale: float) -> None:
        for network in self._networks():
            network.grow(growth.resolution, growth.fade_in)

    def fade(self, batch: Any, growth: Growth) -> None:
        fade_batch(batch, growth)

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
def fade_batch(batch: Any, growth: Growth) -> None:
    """Give the images of a batch the active resolution, faded like the fakes, in place.

    Args:
        batch: nested lists, tuples and mappings; its first tensor of 4 dimensions holds the images, in any scale.
        growth: the phase.

    Raises:
        ValueError: if there is no such tensor, or its size does not fit.
    """
    for tensor in tensors_of(batch):
        if tensor.dim() == 4:
            images = tensor.float() if tensor.dtype == torch.uint8 else tensor
            images = faded(images, resolution=growth.resolution, fade_in=growth.fade_in)
            # The content and not the container, because tuples cannot be changed and a batch may be a bare tensor.
            tensor.data = (images.round() if tensor.dtype == torch.uint8 else images).to(tensor.dtype)
            return
    raise ValueError(
        f"ProgressiveGrowing: the batch, a {type(batch).__name__}, holds no images [batch, channels, height, width]; "
        "make them a member of a list, tuple or mapping, or train a lightning_gan.GAN"
    )
