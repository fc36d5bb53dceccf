"""Sampling from a trained generator."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn

from lightning_gan.loop.batches import check_label_range
from lightning_gan.metrics.perceptual_path import slerp
from lightning_gan.tensors.image_bytes import clipped_images
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
        """Latents and labels for `sample`. Those of an image depend only on the seed and the image's number.

        Args:
            count: number of samples. A larger count has the same first samples.
            seed: seed of the latents.

        Returns:
            Latents of the model's prior, `count latent_dim`, and class indices 0, 1, ..., K-1, 0, 1, ...; None without
            classes.

        Raises:
            ValueError: if `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"{type(self).__name__}: a count of {count} samples must be at least 1")
        random = torch.Generator()
        rows = [self.prior(1, random.manual_seed(derived_seed(seed, "sample", number))) for number in range(count)]
        latents = torch.cat(rows).to(self.device)
        if not self.number_of_classes:
            return latents, None
        return latents, torch.arange(count, device=self.device) % self.number_of_classes

    def prior(self, count: int, random: torch.Generator) -> Latents:
        """Latents of the model's prior, `count latent_dim`: standard normal ones here. A model may override it.

        Args:
            count: number of latents.
            random: generator of random numbers, on whose device the latents are.
        """
        return torch.randn(count, self.latent_dim, generator=random, device=random.device)

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
        self,
        latents: Latents | int,
        labels: Labels | None = None,
        *,
        seed: int = 0,
        truncation: float = 1.0,
        fresh_noise: bool = False,
        clipped: bool = True,
        ema: bool = True,
    ) -> Images:
        """Images in [-1, 1], `batch channels height width`, from networks in evaluation mode.

        An image is a function of the weights, its latent (or the seed and its number), its label and the truncation,
        whatever the number of images at once; sums in another order may change the last digits. Only generators that
        normalize over the batch even in evaluation mode, which their classes say (WGAN-GP, CT-GAN), make images that
        depend on each other. Images have the active resolution. `lightning_gan.tensors.image_bytes.to_bytes` makes
        uint8 of them.

        Args:
            latents: a number of images, for which `draw_latents` draws latents, or latents of the model's prior,
                `batch latent_dim`, on any device.
            labels: class indices, `batch`, or multi-hot rows. A number of images without labels gets the classes 0, 1,
                ..., K-1, 0, 1, ... in turn; for latents they are required if `number_of_classes` is not 0.
            seed: seed of the latents of a number of images.
            truncation: strength of the truncation trick. 1 samples the whole distribution; other values are for models
                that override `truncated`.
            fresh_noise: True draws new noise from torch's generator in each call, in models whose layers take noise
                (StyleGAN); False takes the noise that is stored with the weights.
            clipped: True clips to [-1, 1] and refuses values that are not finite, for which the device is waited for;
                False leaves all values as the network makes them.
            ema: True samples the generator with averaged weights, if a callback updates it.

        Raises:
            ValueError: for latents of another shape, labels that are missing or out of range, or a truncation in a
                model that has no truncation trick.
            NotFiniteImagesError: with `clipped`, if an image has a value that is NaN or infinite.
        """
        if isinstance(latents, int):
            latents, drawn_labels = self.draw_latents(latents, seed=seed)
            labels = drawn_labels if labels is None else labels
        if latents.dim() != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents have the shape {list(latents.shape)}, but {type(self).__name__} takes a number of images or "
                f"[batch, {self.latent_dim}]"
            )
        labels = self.checked_labels(labels)
        network = self.sampling_generator if ema else self.generator
        with evaluation_mode(network):
            images = self.truncated(
                network, latents.to(self.device), labels, truncation=truncation, fresh_noise=fresh_noise
            )
        images = full_precision(images)
        return clipped_images(images) if clipped else images

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """Images of `sample`, for `Trainer.predict`, `to_onnx` and other tools that call a module.

        Args:
            latents: latents of the model's prior, `batch latent_dim`.
            labels: class indices or multi-hot rows; required if `number_of_classes` is not 0.
        """
        return self.sample(latents, labels)

    def predict_step(self, batch: Any, batch_idx: int) -> Images:
        """Images of a batch of `Trainer.predict`: latents, or a list of latents and labels."""
        images: Images = self(*batch) if isinstance(batch, list | tuple) else self(batch)
        return images

    def checked_labels(self, labels: Labels | None) -> Labels | None:
        """Check the labels to sample with. The result is None if the model has no classes.

        Raises:
            ValueError: if the model has classes and labels are missing or out of range.
        """
        if not self.number_of_classes:
            return None
        if labels is None:
            raise ValueError(f"the model has {self.number_of_classes} classes: give a label per sample")
        labels = labels.to(self.device)
        if not torch.compiler.is_compiling():  # an exported graph cannot look at values
            check_label_range(labels, number_of_classes=self.number_of_classes)
        return labels

    def truncated(
        self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float, fresh_noise: bool
    ) -> Images:
        """Images of `network` with the model's truncation trick. The base class has none; models may override this.

        Args:
            network: generator in evaluation mode.
            latents: latents of the prior, `batch latent_dim`.
            labels: class indices or multi-hot rows; None without classes.
            truncation: strength of the truncation trick; 1 samples the whole distribution.
            fresh_noise: whether layers that take noise draw it, or take the stored one. The base class has no noise.

        Raises:
            ValueError: if `truncation` is not 1 and the model has no truncation trick.
        """
        if truncation != 1.0:
            raise ValueError(f"{type(self).__name__} has no truncation trick; truncation={truncation} must be 1")
        images: Images = network(latents) if labels is None else network(latents, labels)
        return images
