"""What callbacks that draw have in common: when they draw, how they sample, where pictures go."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image

from lightning_gan.callbacks.figures.pictures import Grid, write_png
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of


class Figure(ImageClock, ABC):
    """Draws while fitting: every `every_kimg` thousand images, and at the end unless that has just been drawn.

    Args:
        every_kimg: thousands of images between pictures; None draws at the end alone.
        directory: where to; None is `folder` in the trainer's `default_root_dir`.

    Raises:
        ValueError: if the interval is less than one image.
    """

    folder: ClassVar[str]
    """Where pictures go within a run."""

    draws_stage_ends: ClassVar[bool] = False
    """Whether there is a picture at the end of every resolution of a growing GAN."""

    def __init__(self, *, every_kimg: float | None, directory: str | None) -> None:
        self.every_kimg = every_kimg
        self.directory = directory
        setting = f"{type(self).__name__}: every_kimg"
        self._every_images = None if every_kimg is None else images_of_kimg(setting, every_kimg)
        self._drawn_at: int | None = None

    @abstractmethod
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sample on every rank, because sharded networks need all of them; write on the first."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        growing = growing_of(trainer) if self.draws_stage_ends else None
        # Now, and not with the next batch: that one comes to networks which have grown.
        is_due = growing is not None and growing.changes_resolution(self.images_before, self.images_seen)
        if self._every_images is not None:
            is_due |= crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images)
        if is_due:
            self._draw_now(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drawn_at != self.images_seen:
            self._draw_now(trainer, pl_module)

    def _draw_now(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.draw(trainer, pl_module)
        self._drawn_at = self.images_seen

    def _write(self, trainer: Trainer, pixels: Grid, *, file: str) -> Image.Image:
        folder = Path(self.directory) if self.directory else Path(trainer.default_root_dir) / self.folder
        return write_png(folder / f"{file}.png", pixels)

    def _publish(self, trainer: Trainer, pl_module: LightningModule, pixels: Grid, *, file: str, title: str) -> None:
        """Write a picture, and hand it to the loggers of TensorBoard and W&B under its title. For the first rank."""
        image = self._write(trainer, pixels, file=file)
        # On the axis of the losses; W&B drops what comes with a smaller step than they had.
        step = host_of(pl_module).logger_step(trainer, images_seen=self.images_seen)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(title, pixels.numpy(), step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(title, [image], step=step)


def columns_for(number_of_classes: int) -> int:
    """Images per row: one per class if there are 2 to 16, else 8."""
    return number_of_classes if 2 <= number_of_classes <= 16 else 8


def growing_of(trainer: Trainer) -> ProgressiveGrowing | None:
    """The callback by which the networks grow, if there is one."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, ProgressiveGrowing)]  # type: ignore[attr-defined]
    return found[0] if found else None
