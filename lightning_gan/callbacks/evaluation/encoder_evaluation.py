"""The evaluation of encoders: reconstruction error, and 1-NN accuracy of the codes as in BiGAN's MNIST table.

Donahue et al. 2017, arXiv:1605.09782.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_gan.callbacks.evaluation.gathering import Described, Gathering, gathered
from lightning_gan.callbacks.evaluation.reals_measurement import RealsMeasurement, positions_in_set, validation_batches
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.autoencoder import autoencoder_of
from lightning_gan.metrics.encoding import neighbour_accuracy, squared_errors
from lightning_gan.metrics.report import Better, Record
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.shapes import Features


class EncoderEvaluation(RealsMeasurement):
    """Encodes and reconstructs real images, while fitting, and in `validate` and `test`.

    It computes these numbers:
    - the mean squared error of the reconstructions, per pixel of images in [-1, 1];
    - if there are labels of several classes, the share of images whose nearest other image has the same class. It is
      computed from distances between codes and, as a reference, from distances between pixels. This is the
      leave-one-out 1-NN accuracy: an image is never its own neighbour;
    - if there are labels of several classes, the share of reconstructions whose nearest real image, the original left
      out, has the original's class. It shows whether a reconstruction keeps the class even if its pixels differ.

    The callback works on every `lightning_gan.loop.autoencoder.Autoencoder`. It reads the images of every
    `RealsMeasurement`, in batches of (images, labels) or mappings with a `label`, and uses the labels even if the model
    ignores them. It keeps pixels, codes and reconstructions in the device's memory, so their number is limited by
    `image_count`; distances are computed in blocks.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        image_count: largest number of images to measure, at least 2. The first images of the data set are taken, or on
            several ranks the first of each rank's part. Accuracies of different counts are not comparable.
        ema: whether averaged weights are used, if there are some.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for fewer than 2 images, and before training starts for modules without an encoder.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None = None,
        image_count: int = 5000,
        ema: bool = True,
        real: Callable[[Any], Tensor] | None = None,
        value_range: Sequence[float] | None = None,
        name: str = "metrics",
    ) -> None:
        # batch_size and seed of the base class have no effect: nothing is sampled, the dataloader makes the batches.
        super().__init__(every_kimg=every_kimg, batch_size=1, seed=0, real=real, value_range=value_range, name=name)
        if image_count < 2:
            raise ValueError(f"EncoderEvaluation: image_count={image_count} must be at least 2, to have neighbours")
        self.image_count = image_count
        self.ema = ema
        self._loop_reals = self._new_gathering()
        self._pixel_accuracy: float | None = None

    def check(self, module: LightningModule) -> None:
        autoencoder_of(module, asker=self.title)

    @property
    def least_reals(self) -> int:
        return 2

    def try_out_with(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        gathering = self._new_gathering()
        self._add(trainer, module, gathering, batch)
        gathering.check(trainer, module, kimg=self.kimg)

    def forget(self) -> None:
        self._loop_reals = self._new_gathering()

    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        if not self._is_complete(trainer, self._loop_reals):
            self._add(trainer, module, self._loop_reals, batch)

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        is_fitting = trainer.state.fn == TrainerFn.FITTING
        gathering, self._loop_reals = self._loop_reals, self._new_gathering()
        if is_fitting:
            gathering = self._new_gathering()
            for batch in validation_batches(trainer):
                if self._is_complete(trainer, gathering):
                    break
                self._add(trainer, module, gathering, batch)
        self._check_count(gathering.check(trainer, module, kimg=self.kimg))
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

    def better(self) -> dict[str, Better]:
        return {"reconstruction_error": "less", "code_neighbours": "more", "reconstruction_neighbours": "more"}

    def headline(self, numbers: dict[str, float]) -> str:
        error = f"squared error of reconstructions {numbers['reconstruction_error']:.4f}"
        if "code_neighbours" not in numbers:
            return error
        codes, pixels = numbers["code_neighbours"], numbers["pixel_neighbours"]
        return f"{error}; 1-NN accuracy of codes {codes:.3f}, of pixels {pixels:.3f}"

    def _accuracy_of_pixels(self, pixels: Features, classes: Int64[Tensor, " batch"], *, is_fitting: bool) -> float:
        """The 1-NN accuracy of the pixels; while fitting it is computed once, because the images do not change."""
        if not is_fitting:
            return neighbour_accuracy(pixels, pixels, classes)
        if self._pixel_accuracy is None:
            self._pixel_accuracy = neighbour_accuracy(pixels, pixels, classes)
        return self._pixel_accuracy

    def _is_complete(self, trainer: Trainer, gathering: Gathering) -> bool:
        """Whether enough images were read; all ranks agree, because every rank must run a sharded network."""
        enough = gathering.images * trainer.world_size >= self.image_count
        return trainer.strategy.reduce_boolean_decision(enough, all=True)

    def _add(self, trainer: Trainer, module: LightningModule, gathering: Gathering, batch: Any) -> None:
        """Adds the errors, classes, pixels, codes and reconstructions of this rank's batch."""
        autoencoder = autoencoder_of(module, asker=self.title)
        images, labels = self.real_images(module).images(batch).to(module.device), _labels_of(batch)
        with trainer.precision_plugin.forward_context():
            is_bytes = images.dtype == torch.uint8
            images = from_bytes(images) if is_bytes else trainer.precision_plugin.convert_input(images)
            images = gathering.pixels.read(images)
            codes = autoencoder.encode(images, ema=self.ema)
            reconstructions = autoencoder.decode(codes, ema=self.ema)
        # Multi-hot labels name no single class, so they are ignored.
        is_class = isinstance(labels, Tensor) and labels.shape == (len(images),)
        classes = labels.to(images) if is_class else images.new_zeros(len(images))
        positions = positions_in_set(trainer, len(images), after=gathering.images)
        rows = [
            squared_errors(images, reconstructions)[:, None],
            classes[:, None],
            images.flatten(1),
            codes,
            reconstructions.flatten(1),
        ]
        gathering.add(len(images), [Described(part, positions) for part in rows])

    def _new_gathering(self) -> Gathering:
        return Gathering(self.title, "real images")


def _labels_of(batch: Any) -> Any:
    """The second element of a list or tuple, or the element `label` of a mapping; None if there is none."""
    if isinstance(batch, Mapping):
        return batch.get("label")
    return batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
