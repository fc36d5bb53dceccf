"""The end of training, counted in images."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.clock import ImageClock, images_of_kimg


class StopAtKimg(ImageClock):
    """Stops `fit` with the batch that reaches `total_kimg`. Give the trainer `max_epochs: -1`.

    The end is a normal one: hooks for the end of training run, and a checkpoint of it can be trained further with a
    larger `total_kimg`. Resuming a run that has reached its end trains nothing. `Trainer(max_steps=...)`, in batches,
    ends a run earlier, and so does a second callback with a smaller total.

    Args:
        total_kimg: thousands of images, over all ranks.

    Raises:
        ValueError: if that is less than one image.
    """

    def __init__(self, *, total_kimg: float) -> None:
        self.total_kimg = total_kimg
        self._total_images = images_of_kimg("StopAtKimg: total_kimg", total_kimg)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._stop_if_reached(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._stop_if_reached(trainer)

    def _stop_if_reached(self, trainer: Trainer) -> None:
        # Every rank has the same count, so that they agree without asking each other.
        if self.images_seen >= self._total_images:
            trainer.should_stop = True
