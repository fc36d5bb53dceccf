"""Sampling of images for figures, from a `GAN` or from the generator of any other module."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.average import averages
from lightning_gan.foreign.sampler import Sampler, sampled_images
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Labels, Latents


def averaging_of(trainer: Trainer) -> list[AveragesGenerator]:
    """The trainer's callbacks that average weights."""
    return [callback for callback in trainer.callbacks if isinstance(callback, AveragesGenerator)]  # type: ignore[attr-defined]


@contextmanager
def averages_applied(averaging: list[AveragesGenerator], module: LightningModule) -> Iterator[None]:
    """Context manager inside of which the networks have the averaged weights of some callbacks."""
    with ExitStack() as stack:
        for callback in averaging:
            stack.enter_context(callback.applied(module))
        yield


IMAGES_AT_ONCE = 16
"""Number of images of one forward pass. A figure may contain more images than fit into memory at once."""


def few_at_a_time(count: int) -> list[slice]:
    """Slices of at most `IMAGES_AT_ONCE` images that together contain `count` images."""
    return [slice(start, start + IMAGES_AT_ONCE) for start in range(0, count, IMAGES_AT_ONCE)]


def sample_bytes(
    module: GAN, latents: Latents, labels: Labels | None, *, truncation: float = 1.0, ema: bool = True
) -> ImageBytes:
    """Images of `GAN.sample`, computed a few at a time, as bytes in main memory: `batch channels height width`.

    Args:
        module: model that is sampled.
        latents: standard normal latents, `batch latent_dim`.
        labels: class indices or multi-hot rows; None without classes.
        truncation: strength of the truncation trick; 1 samples the whole distribution.
        ema: True samples the generator with averaged weights, if a callback updates it.
    """
    parts = (
        module.sample(
            latents[few], None if labels is None else labels[few], truncation=truncation, clipped=False, ema=ema
        )
        for few in few_at_a_time(len(latents))
    )
    return torch.cat([to_bytes(part).cpu() for part in parts])


@dataclass(frozen=True, kw_only=True)
class SampledNetwork:
    """The settings that are needed to sample a module that is not a `GAN`.

    Args:
        generator: attribute path of the generator.
        latent_dim: size of a latent, or its shape as a list; None if it is not known.
        number_of_classes: number of classes if the generator takes class indices as a second argument; otherwise 0.
    """

    generator: str
    latent_dim: int | list[int] | None
    number_of_classes: int


class Sampling(ABC):
    """Makes images from latents that depend only on a seed."""

    @abstractmethod
    def check(self, *, truncation: float) -> None:
        """Check before training that the module can be sampled.

        Args:
            truncation: strength of the truncation trick that will be used.

        Raises:
            ValueError: if the module cannot be sampled with these settings.
        """

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """The number of classes; 0 without labels."""

    @abstractmethod
    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        """Images as bytes in main memory, `count channels height width`. Their classes are 0, 1, ..., K-1, 0, 1, ...

        Args:
            trainer: trainer, whose callbacks may average weights.
            count: number of images.
            seed: seed of the latents.
            truncation: strength of the truncation trick of a `GAN`; 1 samples the whole distribution.
            ema: True samples with averaged weights, if there are any.
        """


@final
class OwnSampling(Sampling):
    """Sampling from a `GAN`."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan

    def check(self, *, truncation: float) -> None:
        """Do nothing, because `GAN.sample` checks the truncation."""

    @property
    def number_of_classes(self) -> int:
        return self.gan.number_of_classes

    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        latents, labels = self.gan.draw_latents(count, seed=seed)
        return sample_bytes(self.gan, latents, labels, truncation=truncation, ema=ema)


@final
class ForeignSampling(Sampling):
    """Sampling from the generator of a module that is not a `GAN`.

    Args:
        module: module that contains the generator.
        settings: path of the generator, size of its latents and number of classes.
        asker: name of the callback, for error messages.
    """

    def __init__(self, module: LightningModule, settings: SampledNetwork, *, asker: str) -> None:
        self.module = module
        self.settings = settings
        self.asker = asker

    def check(self, *, truncation: float) -> None:
        network_of(self.module, self.settings.generator, setting=f"{self.asker}(generator=...)")
        if self.settings.latent_dim is None:
            raise ValueError(
                f"{self.asker}: {type(self.module).__name__} is no lightning_gan.GAN, so the size of its latents is "
                "not known; give latent_dim"
            )
        if truncation != 1.0:
            raise ValueError(f"{self.asker}: truncation={truncation} is only for a lightning_gan.GAN; set it to 1")

    @property
    def number_of_classes(self) -> int:
        return self.settings.number_of_classes

    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        generator, latent_dim = self.settings.generator, self.settings.latent_dim
        assert latent_dim is not None
        shape = [latent_dim] if isinstance(latent_dim, int) else latent_dim
        random = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        latents = torch.randn(count, *shape, generator=random).to(self.module.device)
        labels = torch.arange(count, device=self.module.device) % max(self.number_of_classes, 1)
        network = network_of(self.module, generator, setting=f"{self.asker}(generator=...)")
        averaging = [callback for callback in averaging_of(trainer) if ema and averages(callback, generator)]
        with evaluation_mode(network), averages_applied(averaging, self.module):
            parts = [
                network(latents[few], labels[few]) if self.number_of_classes else network(latents[few])
                for few in few_at_a_time(count)
            ]
        return to_bytes(torch.cat(parts)).cpu()


@final
class CalledSampling(Sampling):
    """Sampling by a function of the user, from any module. All images are made in one call.

    Args:
        module: first argument of the function.
        sampler: function of (module, count, seed) that returns images.
        asker: name of the callback, for error messages.
    """

    def __init__(self, module: LightningModule, sampler: Sampler, *, asker: str) -> None:
        self.module = module
        self.sampler = sampler
        self.asker = asker

    def check(self, *, truncation: float) -> None:
        """Do nothing, because the function is called before training."""

    @property
    def number_of_classes(self) -> int:
        return 0

    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        with evaluation_mode(self.module), averages_applied(averaging_of(trainer) if ema else [], self.module):
            images = sampled_images(self.sampler, self.module, count=count, seed=seed, asker=self.asker)
        return (images if images.dtype == torch.uint8 else to_bytes(images)).cpu()
