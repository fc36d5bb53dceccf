"""The end of training after a number of images."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.foreign.clock import ImageClock, images_of_kimg
from lightning_gan.loop.endings import EndsTraining


class StopAtKimg(ImageClock, EndsTraining):
    """Stops `fit` after the batch that reaches `total_kimg`. Give the trainer `max_epochs: -1`.

    Training ends normally: the hooks for the end of training run, and a run that is resumed from its checkpoint with a
    larger `total_kimg` trains further. A run that has reached `total_kimg` trains nothing when it is resumed.
    `Trainer(max_steps=...)`, counted in batches, may end a run earlier, and so may a second callback with a smaller
    total.

    Args:
        total_kimg: thousands of images after which training stops, over all ranks.

    Raises:
        ValueError: if `total_kimg` is less than one image.
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
        # All ranks have the same count, so that they stop together without communication.
        if self.images_seen >= self._total_images:
            trainer.should_stop = True
