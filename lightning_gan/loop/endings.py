"""What ends a training: steps, time, images, or passes over data that have an end."""

import math
from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer


class EndsTraining(Callback):
    """Base class of callbacks that end every training at some time."""


REMEDY = "a number of batches (max_steps), a time (max_time), or the callback StopAtKimg with total_kimg"
"""What ends a training on data without an end, for messages."""


def ends(*, max_steps: int, max_time: object | None, callbacks: Sequence[Callback]) -> bool:
    """Whether a training ends, even if its data never do.

    Args:
        max_steps: the trainer's largest number of batches; -1 for any number.
        max_time: the trainer's longest time; None for any time.
        callbacks: the trainer's callbacks.
    """
    return (
        max_steps != -1
        or max_time is not None
        or any(isinstance(callback, EndsTraining | EarlyStopping | Timer) for callback in callbacks)
    )


class RefusesEndlessTraining(LightningModule):
    """Base class of modules that refuse a number of epochs as the only end, if an epoch of the data has no end."""

    def on_train_start(self) -> None:
        """Check that the training ends.

        Raises:
            ValueError: if the trainer counts epochs, and the training data have no end.
        """
        super().on_train_start()
        trainer = self.trainer
        counts_epochs = trainer.max_epochs is not None and trainer.max_epochs != -1
        if counts_epochs and math.isinf(trainer.num_training_batches) and not _ends(trainer):
            raise ValueError(
                f"max_epochs={trainer.max_epochs} would never be reached: the training data are an endless stream, "
                f"of which an epoch has no end; give {REMEDY}"
            )


def _ends(trainer: Trainer) -> bool:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return ends(max_steps=trainer.max_steps, max_time=None, callbacks=callbacks)  # max_time adds a Timer
