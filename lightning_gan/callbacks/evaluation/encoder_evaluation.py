"""How well an encoder inverts its generator, and how much of an image's class its codes hold (BiGAN's MNIST table)."""

from typing import Any

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_gan.callbacks.evaluation.comparison import Described, Gathering
from lightning_gan.callbacks.evaluation.measurement import gathered
from lightning_gan.callbacks.evaluation.reals_measurement import RealsMeasurement, positions_in_set, validation_batches
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.autoencoder import autoencoder_of
from lightning_gan.loop.batches import images_and_labels
from lightning_gan.metrics.encoding import neighbour_accuracy, squared_errors
from lightning_gan.metrics.report import Record
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.shapes import Features


class EncoderEvaluation(RealsMeasurement):
    """Encodes and reconstructs real images, while fitting, and in `validate` and `test`.

    Its numbers:
    - the mean squared error of reconstructions, per pixel of images in [-1, 1];
    - with labels of several classes, the share of images whose nearest other image is of the same class, "near" by
      codes, and as a reference by pixels (1-NN accuracy, leaving one out: no image is found by itself, so that it needs
      no other images than those of the training);
    - likewise the share of reconstructions whose nearest real image, but for the original, is of the original's class:
      whether the digit survives where the pixels do not.

    It works on every `lightning_gan.loop.autoencoder.Autoencoder`. Images are those that every `RealsMeasurement` gets,
    in batches of (images, labels); labels that the model ignores are used here. Pixels, codes and reconstructions are
    kept on the device while it measures, hence the limit on their number; distances are computed in blocks.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures at the end only.
        image_count: most images to measure: the first of the data, or of each rank's part of it. Accuracies of
            different counts are not comparable.
        ema: use averaged weights, if there are some.
        name: see `Evaluation`.

    Raises:
        ValueError: for fewer than 2 images, and before training starts for modules without an encoder.
    """

    def __init__(
        self, *, every_kimg: float | None = None, image_count: int = 5000, ema: bool = True, name: str = "metrics"
    ) -> None:
        # Nothing is sampled, and batches are the loader's.
        super().__init__(every_kimg=every_kimg, batch_size=1, seed=0, name=name)
        if image_count < 2:
            raise ValueError(f"EncoderEvaluation: image_count={image_count} must be at least 2, to have neighbours")
        self.image_count = image_count
        self.ema = ema
        self._loop_reals = Gathering()
        self._pixel_accuracy: float | None = None

    def check(self, module: LightningModule) -> None:
        autoencoder_of(module, asker=self.title)

    def forget(self) -> None:
        self._loop_reals = Gathering()

    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        if not self._is_complete(trainer, self._loop_reals):
            self._add(trainer, module, self._loop_reals, batch)

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        is_fitting = trainer.state.fn == TrainerFn.FITTING
        gathering, self._loop_reals = self._loop_reals, Gathering()
        if is_fitting:
            gathering = Gathering()
            for batch in validation_batches(trainer):
                if self._is_complete(trainer, gathering):
                    break
                self._add(trainer, module, gathering, batch)
        parts = [gathered(trainer, module, part)[: self.image_count] for part in gathering.parts]
        if not trainer.is_global_zero:
            return {}
        errors, labels, pixels, codes, reconstructions = parts
        numbers = {"reconstruction_error": errors.double().mean().item()}
        classes = labels[:, 0].long()
        if (classes != classes[0]).any():
            numbers["code_neighbours"] = neighbour_accuracy(codes, codes, classes)
            numbers["reconstruction_neighbours"] = neighbour_accuracy(reconstructions, pixels, classes)
            numbers["pixel_neighbours"] = self._accuracy_of_pixels(pixels, classes, is_fitting=is_fitting)
        ema = host_of(module).uses_average(trainer, ema=self.ema)
        return {"real_count": len(errors), "ema": ema, "metrics": numbers}

    def titles(self) -> dict[str, str]:
        return {
            "reconstruction_error": "squared error of reconstructions",
            "code_neighbours": "1-NN accuracy of codes",
            "reconstruction_neighbours": "1-NN accuracy of reconstructions",
            "pixel_neighbours": "  of the images' own pixels",
        }

    def headline(self, numbers: dict[str, float]) -> str:
        error = f"squared error of reconstructions {numbers['reconstruction_error']:.4f}"
        if "code_neighbours" not in numbers:
            return error
        codes, pixels = numbers["code_neighbours"], numbers["pixel_neighbours"]
        return f"{error}; 1-NN accuracy of codes {codes:.3f}, of pixels {pixels:.3f}"

    def _accuracy_of_pixels(self, pixels: Features, classes: Int64[Tensor, " batch"], *, is_fitting: bool) -> float:
        """While fitting it stays what it is."""
        if not is_fitting:
            return neighbour_accuracy(pixels, pixels, classes)
        if self._pixel_accuracy is None:
            self._pixel_accuracy = neighbour_accuracy(pixels, pixels, classes)
        return self._pixel_accuracy

    def _is_complete(self, trainer: Trainer, gathering: Gathering) -> bool:
        """Whether there are enough images; the same on all ranks, because sharded networks need every one of them."""
        enough = gathering.images * trainer.world_size >= self.image_count
        return trainer.strategy.reduce_boolean_decision(enough, all=True)

    def _add(self, trainer: Trainer, module: LightningModule, gathering: Gathering, batch: Any) -> None:
        """This rank's batch: errors, classes, pixels, codes and reconstructions of its images."""
        autoencoder = autoencoder_of(module, asker=self.title)
        images, labels = images_and_labels(batch)
        images = images.to(module.device)
        with trainer.precision_plugin.forward_context():
            is_bytes = images.dtype == torch.uint8
            images = from_bytes(images) if is_bytes else trainer.precision_plugin.convert_input(images)
            codes = autoencoder.encode(images, ema=self.ema)
            reconstructions = autoencoder.decode(codes, ema=self.ema)
        # Multi-hot labels are no classes.
        classes = labels.to(images) if labels is not None and labels.dim() == 1 else images.new_zeros(len(images))
        positions = positions_in_set(trainer, len(images), after=gathering.images)
        rows = [
            squared_errors(images, reconstructions)[:, None],
            classes[:, None],
            images.flatten(1),
            codes,
            reconstructions.flatten(1),
        ]
        gathering.add(len(images), [Described(part, positions) for part in rows])
