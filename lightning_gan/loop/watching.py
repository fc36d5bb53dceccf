"""The part of the loop that notices numbers that are not finite, for every trainer and without a callback."""

from collections.abc import Sequence
from typing import ClassVar

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.loop.finite import NonFiniteError, NumberRecord, gradients_of, handler_of, uses_loss_scaler
from lightning_gan.loop.turn import Player

EVERY_N_BATCHES = 50
"""Number of batches between two readings of the record, if the callback `NonFinite` sets no other one."""


class WatchesNumbers(LightningModule):
    """A module whose losses, gradients, weights, pixels and labels must be finite and in range.

    They are recorded on the device, and read where the device is waited for anyway: when terms are logged, before a
    checkpoint is saved, before validation and testing, at the end of an epoch and of training, in the first batch, and
    at least every `EVERY_N_BATCHES` batches. All ranks read together, so that they stop with the same message. Training
    stops with a `NonFiniteError`, unless the trainer has the callback `NonFinite`, which may decide otherwise.

    Attributes:
        images_seen: images that the discriminator has seen, over all ranks.
    """

    clock_unit: ClassVar[str] = "kimg"
    """Name of one thousand training samples in figures and log lines."""

    images_seen: int
    _numbers_recorded: NumberRecord
    _is_watching: bool
    _batches_unread: int | None

    def watch(self, *, on: bool) -> None:
        """Begin or end to record numbers. The first batch is read.

        Args:
            on: whether a trainer runs the module. `prepare` may also be called without one.
        """
        self._numbers_recorded = NumberRecord(clock_unit=self.clock_unit)
        self._is_watching = on
        self._batches_unread = None

    # ------------------------------------------------------------------ recording

    def _records_turns(self) -> bool:
        """Whether terms, pixels and gradients are recorded. They are not if steps that they spoil are left out."""
        if not self._is_watching:
            return False
        handler = handler_of(self.trainer)
        return handler is None or not handler.leaves_steps_out

    def record_terms(self, player: Player, values: Tensor, *, names: Sequence[str]) -> None:
        """Record the terms of the cost of a turn.

        Args:
            player: player whose turn it is.
            values: the terms, one-dimensional, in the order of `names`.
            names: names such as `discriminator/r1`.
        """
        if self._records_turns():
            advice = f"{_lower(player)}, or the weights of penalties"
            self._numbers_recorded.add_terms(values, names=names, images_seen=self.images_seen, advice=advice)

    def record_gradients(self, player: Player, optimizer: Optimizer) -> bool:
        """Record the gradients before a step, or leave the step out, if the callback `NonFinite` says so.

        Args:
            player: player whose turn it is.
            optimizer: optimizer that is about to step.

        Returns:
            Whether the step is left out; the gradients are then removed.
        """
        handler = handler_of(self.trainer)
        if handler is not None and handler.leaves_steps_out:
            return handler.leaves_out(self.trainer, optimizer)
        self._numbers_recorded.add_gradients(
            gradients_of(optimizer),
            images_seen=self.images_seen,
            advice=f"{_lower(player)}, or limit the gradient by training.{player}_clip_norm",
            scaled=uses_loss_scaler(self.trainer),
        )
        return False

    def record_pixels(self, images: Tensor) -> None:
        """Record the pixels of real images, which are floating-point numbers."""
        if self._records_turns():
            self._numbers_recorded.add_pixels(images, images_seen=self.images_seen)

    def record_labels(self, labels: Tensor, *, number_of_classes: int) -> Tensor:
        """Record whether class indices are in range, and return them limited to the range."""
        return self._numbers_recorded.add_labels(
            labels, number_of_classes=number_of_classes, images_seen=self.images_seen
        )

    # ------------------------------------------------------------------ reading

    def read_numbers(self, *, weights: bool, repair: bool = False) -> None:
        """Read what was recorded. All ranks must call this method together.

        Args:
            weights: whether to read the weights too.
            repair: whether the callback `NonFinite` may repair the training. Otherwise training stops.

        Raises:
            NonFiniteError: if a number is not finite.
        """
        found = self._numbers_recorded.read(self, images_seen=self.images_seen, weights=weights)
        self._batches_unread = 0
        if found is None:
            return
        handler = handler_of(self.trainer)
        if handler is None or not repair:
            raise NonFiniteError(found.message)
        handler.handle(self.trainer, self, found)
        self._numbers_recorded.clear()

    def end_watched_batch(self, *, logs: bool) -> None:
        """Read what was recorded, if it is time. The loop calls this at the end of each batch.

        Args:
            logs: whether the terms of this batch are logged, for which the device is waited for anyway.
        """
        handler = handler_of(self.trainer)
        every = EVERY_N_BATCHES if handler is None else handler.every_n_batches
        unread = every if self._batches_unread is None else self._batches_unread + 1
        self._batches_unread = unread
        if logs or unread >= every:
            self.read_numbers(weights=unread >= every, repair=True)

    # Lightning calls these hooks before a file is written and before callbacks evaluate.

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        self.read_numbers(weights=True)
        super().on_save_checkpoint(checkpoint)

    def on_validation_model_eval(self) -> None:
        self.read_numbers(weights=True)
        super().on_validation_model_eval()

    def on_test_model_eval(self) -> None:
        self.read_numbers(weights=True)
        super().on_test_model_eval()

    def on_train_epoch_end(self) -> None:
        self.read_numbers(weights=True)
        super().on_train_epoch_end()

    def on_train_end(self) -> None:
        self.read_numbers(weights=True)
        super().on_train_end()


def _lower(player: Player) -> str:
    return f"lower the learning rate training.{player}_optimizer.lr"
