"""Samples of a trained generator: the part of a GAN that one uses after training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule
from torch import nn

from lightning_gan.loop.batches import check_label_range
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Labels, Latents


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Inside, every submodule is in evaluation mode; afterwards each is in the mode it was in."""
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training


class GeneratorSampling(LightningModule):
    """A module with a generator, and the average of its weights, that can be sampled.

    Attributes:
        generator: the generator in training.
        generator_ema: the average of its weights.
        latent_dim: size of a latent.
        number_of_classes: 0 without classes.
        averaged: whether a callback moves `generator_ema`.
    """

    generator: nn.Module
    generator_ema: nn.Module
    latent_dim: int
    number_of_classes: int
    averaged: bool

    def draw_latents(self, count: int, *, seed: int) -> tuple[Latents, Labels | None]:
        """Inputs for `sample`: a function of `count` and `seed` alone. Labels go through the classes in turn."""
        generator = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        latents = torch.randn(count, self.latent_dim, generator=generator).to(self.device)
        if not self.number_of_classes:
            return latents, None
        return latents, torch.arange(count, device=self.device) % self.number_of_classes

    @property
    def sampling_generator(self) -> nn.Module:
        """The EMA generator if an `EMA` callback moves it, else the generator."""
        return self.generator_ema if self.averaged else self.generator

    @torch.no_grad()
    def sample(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Images:
        """Images in about [-1, 1] (not clipped), at the active resolution, from networks in evaluation mode.

        Args:
            latents: `batch latent_dim`, standard normal.
            labels: class indices, needed if `number_of_classes` is not 0.
            truncation: 1 samples the whole distribution; a model that offers less overrides `truncated`.
            ema: sample the EMA generator, if there is one.

        Raises:
            ValueError: if labels are missing or out of range, or the model cannot truncate.
        """
        labels = self.checked_labels(labels)
        network = self.sampling_generator if ema else self.generator
        with evaluation_mode(network):
            images = self.truncated(network, latents, labels, truncation=truncation)
        return full_precision(images)

    def checked_labels(self, labels: Labels | None) -> Labels | None:
        """The labels to sample with: those given, or None without classes.

        Raises:
            ValueError: if the model has classes and labels are missing or out of range.
        """
        if not self.number_of_classes:
            return None
        if labels is None:
            raise ValueError(f"the model has {self.number_of_classes} classes: give a label per sample")
        check_label_range(labels, number_of_classes=self.number_of_classes)
        return labels

    def truncated(self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float) -> Images:
        """Images of `network` with the model's own truncation trick; this base has none."""
        if truncation != 1.0:
            raise ValueError(f"{type(self).__name__} has no truncation trick; truncation={truncation} must be 1")
        images: Images = network(latents) if labels is None else network(latents, labels)
        return images
