"""What the loop makes of a batch: real images in [-1, 1] at the active resolution, and labels for the model."""

from typing import Any, ClassVar

import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn

from lightning_gan.layers.resampling import faded
from lightning_gan.loop.batch_sizes import check_batch_sizes
from lightning_gan.loop.batches import Batch, check_label_range, fitting_labels, images_and_labels
from lightning_gan.loop.draws import Reals
from lightning_gan.loop.first_batch import check_dtype, check_entries, check_fits, check_values
from lightning_gan.loop.sampling import GeneratorSampling, evaluation_mode
from lightning_gan.loop.settings import Training
from lightning_gan.loop.watching import WatchesNumbers
from lightning_gan.tensors.across_ranks import first_message, ranks
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.shapes import Images, Labels


class TakesBatches(WatchesNumbers, GeneratorSampling):
    """A module that trains on batches of images. It looks at the first batch of every loop before it uses it.

    Attributes:
        discriminator: network that takes the real images.
        settings: settings of the training.
        resolution: the active resolution of networks that grow; None for networks that do not.
        fade_in: weight of the newest blocks of networks that grow, in (0, 1].
    """

    makes_images: ClassVar[bool]
    discriminator: nn.Module
    settings: Training
    resolution: int | None
    fade_in: float
    _looks_at_batch: bool

    def prepare(self, batch: Batch) -> Reals:
        """The real samples of a batch: images in [-1, 1] at the active resolution, and labels if there are classes."""
        if self._looks_at_batch:
            self._looks_at_batch = False
            self._look_at(batch)
        images, labels = images_and_labels(batch)
        if images.dtype == torch.uint8:
            images = from_bytes(images)
        else:
            self.record_pixels(images)
        if self.resolution is not None:
            images = faded(images, resolution=self.resolution, fade_in=self.fade_in)
        return Reals(
            images=images.contiguous(memory_format=torch.channels_last),
            labels=self._labels_for(labels, images=len(images)) if self.number_of_classes else None,
        )

    def look_at_first_of_training(self, batch: Any) -> None:
        """Check what only matters to the first batch that is trained. The values are checked by `prepare`.

        Raises:
            ValueError: for images whose dtype the networks cannot take, and sizes of batches that cannot be trained.
        """
        self._looks_at_batch = True
        if self.makes_images:
            images = images_and_labels(batch)[0]
            parts = self.settings.pieces * self.settings.accumulate_slices
            check_batch_sizes(self.trainer, self.generator, self.discriminator, first=len(images), parts=parts)
            weights = next((p.dtype for p in self.discriminator.parameters()), torch.get_default_dtype())
            mixed = isinstance(self.trainer.precision_plugin, MixedPrecision)
            check_dtype(images, weights=weights, mixed=mixed)

    def _labels_for(self, labels: Tensor | None, *, images: int) -> Labels:
        fitting = fitting_labels(labels, images=images, number_of_classes=self.number_of_classes)
        # On a CPU there is nothing to wait for. Several ranks must stop together, which they do when they are read.
        if fitting.device.type == "cpu" and ranks() == 1:
            check_label_range(fitting, number_of_classes=self.number_of_classes)
        elif fitting.dim() == 1:
            return self.record_labels(fitting, number_of_classes=self.number_of_classes)
        return fitting

    def _look_at(self, batch: Any) -> None:
        """Check the first batch that is trained or evaluated, also against a sample of the generator.

        Raises:
            ValueError: if it does not fit, on all ranks.
        """
        # The copy for averages makes images of the same shape, and nobody observes its calls.
        network, (latents, labels) = self.generator_ema, self.draw_latents(2, seed=self.settings.seed)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices), evaluation_mode(network):
            fake = self.truncated(network, latents, labels, truncation=1.0, fresh_noise=False)
        try:
            self._check(batch, fake=fake)
            problem = None
        except ValueError as error:
            problem = str(error)
        if (problem := first_message(problem)) is not None:
            raise ValueError(problem)

    def _check(self, batch: Any, *, fake: Images) -> None:
        check_entries(batch, number_of_classes=self.number_of_classes)
        images, labels = images_and_labels(batch)
        check_values(images, check_range=self.settings.check_pixel_range)
        if self.number_of_classes:
            labels = fitting_labels(labels, images=len(images), number_of_classes=self.number_of_classes)
            check_label_range(labels, number_of_classes=self.number_of_classes)
        check_fits(images, fake=fake, grows=self.resolution is not None)
