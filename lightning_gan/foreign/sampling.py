"""Samples for a picture: of a `GAN`, or of the generator of any other module."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from typing import final

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Labels, Latents

IMAGES_AT_ONCE = 16
"""Images of one forward pass: a picture may hold more than a batch that fits into memory."""


def few_at_a_time(count: int) -> list[slice]:
    """Slices of at most 16 that cover `count` images."""
    return [slice(start, start + IMAGES_AT_ONCE) for start in range(0, count, IMAGES_AT_ONCE)]


def sample_bytes(
    module: GAN, latents: Latents, labels: Labels | None, *, truncation: float = 1.0, ema: bool = True
) -> ImageBytes:
    """`GAN.sample`, a few images at a time, as bytes in main memory."""
    parts = (
        module.sample(latents[few], None if labels is None else labels[few], truncation=truncation, ema=ema)
        for few in few_at_a_time(len(latents))
    )
    return torch.cat([to_bytes(part).cpu() for part in parts])


@dataclass(frozen=True, kw_only=True)
class SampledNetwork:
    """What has to be known to sample a module that is no `GAN`.

    Args:
        generator: attribute path of the generator.
        latent_dim: size of a latent, or the shape of one; None if it is not known.
        number_of_classes: above 0 if the generator takes class indices as a second argument.
    """

    generator: str
    latent_dim: int | list[int] | None
    number_of_classes: int


class Sampling(ABC):
    """Makes images of latents that are a function of a seed."""

    @abstractmethod
    def check(self, *, truncation: float) -> None:
        """Refuse a module that cannot be sampled, before anything runs.

        Raises:
            ValueError: with the remedy.
        """

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """How many classes there are, 0 without labels."""

    @abstractmethod
    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        """`count` images in main memory; labels go through the classes in turn.

        Args:
            trainer: with the callbacks that average weights.
            count: how many.
            seed: latents are a function of it.
            truncation: passed to `GAN.sample`.
            ema: sample averaged weights, if there are some.
        """


@final
class OwnSampling(Sampling):
    """Samples a `GAN`."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan

    def check(self, *, truncation: float) -> None:
        """Nothing: which truncations it has, the model says itself."""

    @property
    def number_of_classes(self) -> int:
        return self.gan.number_of_classes

    def images(self, trainer: Trainer, *, count: int, seed: int, truncation: float, ema: bool) -> ImageBytes:
        latents, labels = self.gan.draw_latents(count, seed=seed)
        return sample_bytes(self.gan, latents, labels, truncation=truncation, ema=ema)


@final
class ForeignSampling(Sampling):
    """Samples the generator of any other module.

    Args:
        module: has the generator.
        settings: where it is, and what it takes.
        asker: the callback, for errors.
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
            raise ValueError(f"{self.asker}: truncation={truncation} is for lightning_gan.GAN; leave it at 1")

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
        with ExitStack() as stack:
            stack.enter_context(evaluation_mode(network))
            for callback in trainer.callbacks if ema else []:  # type: ignore[attr-defined]
                if isinstance(callback, AveragesGenerator) and callback.generator == generator:
                    stack.enter_context(callback.applied(self.module))
            parts = [
                network(latents[few], labels[few]) if self.number_of_classes else network(latents[few])
                for few in few_at_a_time(count)
            ]
        return to_bytes(torch.cat(parts)).cpu()
