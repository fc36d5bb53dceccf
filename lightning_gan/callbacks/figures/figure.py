"""The base class of callbacks that write pictures: it decides when they draw and where the pictures are written."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from lightning_gan.callbacks.evaluation.finite_images import finite_images_of
from lightning_gan.callbacks.figures.pictures import Grid, write_png
from lightning_gan.callbacks.training.pauses import pausing
from lightning_gan.callbacks.training.progressive_growing import growing_of
from lightning_gan.compat import with_mirror
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of


class Figure(ImageClock, ABC):
    """Draws pictures while fitting, every `every_kimg` thousand images and at the end.

    At the end nothing is drawn if the last batch has just been drawn. A subclass samples and writes in `draw`. Images
    that are not finite are an error, and no picture of them is written.

    Args:
        every_kimg: thousands of images between pictures; None draws only at the end of fit.
        directory: directory of the pictures; None is `folder` in the trainer's `default_root_dir`.

    Raises:
        ValueError: if the interval is less than one image.
    """

    folder: str
    """Name of the directory of the pictures, in the trainer's `default_root_dir`."""

    draws_stage_ends: ClassVar[bool] = False
    """Whether a picture is also drawn at the end of every resolution of a growing GAN."""

    def __init__(self, *, every_kimg: float | None, directory: str | None) -> None:
        self.every_kimg = every_kimg
        self.directory = directory
        setting = f"{type(self).__name__}: every_kimg"
        self._every_images = None if every_kimg is None else images_of_kimg(setting, every_kimg)
        self._drawn_at: int | None = None

    @abstractmethod
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Samples on every rank, because sharded networks need all of them, and writes pictures on rank 0."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        growing = growing_of(trainer) if self.draws_stage_ends else None
        # Drawn now, because the networks grow before the next batch.
        is_due = growing is not None and growing.changes_resolution(self.images_before, self.images_seen)
        if self._every_images is not None:
            is_due |= crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images)
        if is_due:
            self._draw_now(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drawn_at != self.images_seen:
            self._draw_now(trainer, pl_module)

    def _draw_now(self, trainer: Trainer, pl_module: LightningModule) -> None:
        title = type(self).__name__
        with pausing(trainer, title), finite_images_of(pl_module, asker=title, kimg=self.kimg):
            self.draw(trainer, pl_module)
        self._drawn_at = self.images_seen

    def _write(self, trainer: Trainer, pixels: Grid, *, file: str) -> Image.Image:
        folder = Path(self.directory) if self.directory else Path(trainer.default_root_dir) / self.folder
        return write_png(folder / f"{file}.png", pixels)

    def _publish(self, trainer: Trainer, pl_module: LightningModule, pixels: Grid, *, file: str, title: str) -> None:
        """Writes a picture and gives it to the loggers of TensorBoard, W&B and MLflow under its title, on rank 0."""
        image = self._write(trainer, pixels, file=file)
        # The step of the losses, because W&B drops pictures that come with a smaller step.
        step = host_of(pl_module).logger_step(trainer, images_seen=self.images_seen)
        for logger in trainer.loggers:
            if isinstance(logger, with_mirror(TensorBoardLogger)):
                logger.experiment.add_image(title, pixels.numpy(), step, dataformats="HWC")
            elif isinstance(logger, with_mirror(WandbLogger)):
                logger.log_image(title, [image], step=step)
            elif isinstance(logger, with_mirror(MLFlowLogger)):
                logger.experiment.log_image(logger.run_id, image, key=title, step=step)


def columns_for(number_of_classes: int) -> int:
    """Returns the number of images per row: one per class if there are 2 to 16 classes, else 8."""
    return number_of_classes if 2 <= number_of_classes <= 16 else 8
