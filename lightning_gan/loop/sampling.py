"""Sampling from a trained generator."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule
from torch import nn

from lightning_gan.loop.batches import check_label_range
from lightning_gan.metrics.perceptual_path import slerp
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Labels, Latents, PerSample


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Context manager that sets every submodule to evaluation mode, and afterwards to the mode that it had before."""
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training


class GeneratorSampling(LightningModule):
    """A module with a generator and a copy of it with averaged weights, from which images can be sampled.

    Attributes:
        generator: the generator that is trained.
        generator_ema: the copy of the generator that has averaged weights.
        latent_dim: size of a latent.
        number_of_classes: number of classes; 0 without classes.
        averaged: whether a callback updates `generator_ema`.
    """

    generator: nn.Module
    generator_ema: nn.Module
    latent_dim: int
    number_of_classes: int
    averaged: bool

    def draw_latents(self, count: int, *, seed: int) -> tuple[Latents, Labels | None]:
        """Latents and labels for `sample`, which depend only on `count` and `seed`.

        Args:
            count: number of samples.
            seed: seed of the latents.

        Returns:
            Standard normal latents, `count latent_dim`, and class indices 0, 1, ..., K-1, 0, 1, ...; None without
            classes.
        """
        generator = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        latents = torch.randn(count, self.latent_dim, generator=generator).to(self.device)
        if not self.number_of_classes:
            return latents, None
        return latents, torch.arange(count, device=self.device) % self.number_of_classes

    def latents_between(self, first: Latents, second: Latents, places: PerSample) -> Latents:
        """Latents on the prior's paths between pairs of latents, where the prior itself has most of its samples.

        For standard normal latents, paths are great circles between the directions of both latents (Karras et al.
        2019, arXiv:1812.04948, section 4.1) on the sphere of radius sqrt(latent_dim), which is the length of normal
        latents. A model whose latents are not standard normal overrides this method.

        Args:
            first: latents where the paths begin, `batch latent_dim`.
            second: latents where the paths end.
            places: places on the paths, in [0, 1].
        """
        return slerp(first, second, places) * math.sqrt(self.latent_dim)

    @property
    def sampling_generator(self) -> nn.Module:
        """The generator with averaged weights if a callback updates it, otherwise the generator that is trained."""
        return self.generator_ema if self.averaged else self.generator

    @torch.no_grad()
    def sample(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Images:
        """Images in about [-1, 1] (not clipped), `batch channels height width`, from networks in evaluation mode.

        The images have the active resolution.

        Args:
            latents: standard normal latents, `batch latent_dim`.
            labels: class indices or multi-hot rows; required if `number_of_classes` is not 0.
            truncation: strength of the truncation trick. 1 samples the whole distribution; other values are for models
                that override `truncated`.
            ema: True samples the generator with averaged weights, if a callback updates it.

        Raises:
            ValueError: if labels are missing or out of range, or the model has no truncation trick.
        """
        labels = self.checked_labels(labels)
        network = self.sampling_generator if ema else self.generator
        with evaluation_mode(network):
            images = self.truncated(network, latents, labels, truncation=truncation)
        return full_precision(images)

    def checked_labels(self, labels: Labels | None) -> Labels | None:
        """Check the labels to sample with. The result is None if the model has no classes.

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
        """Images of `network` with the model's truncation trick. The base class has none; models may override this.

        Args:
            network: generator in evaluation mode.
            latents: standard normal latents, `batch latent_dim`.
            labels: class indices or multi-hot rows; None without classes.
            truncation: strength of the truncation trick; 1 samples the whole distribution.

        Raises:
            ValueError: if `truncation` is not 1 and the model has no truncation trick.
        """
        if truncation != 1.0:
            raise ValueError(f"{type(self).__name__} has no truncation trick; truncation={truncation} must be 1")
        images: Images = network(latents) if labels is None else network(latents, labels)
        return images
