"""Callbacks that work in `validate` and in `test` alike, and not in the validation while fitting."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn


class EvaluationLoops(Callback):
    """Hears of the loops of `validate` and `test` through three methods.

    A subclass overrides those that it needs, and calls them through `super()` first.
    """

    def begin_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A loop begins."""

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        """A batch of the first dataloader is done.

        Args:
            trainer: whose loop it is.
            pl_module: the module.
            batch: this rank's batch.
            index: its number, from 0.
            batches: how many there are, infinite if that is not known.
        """

    def end_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A loop ends; numbers may still be logged."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self.begin_loop(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING and dataloader_idx == 0:
            self.loop_batch(trainer, pl_module, batch, index=batch_idx, batches=trainer.num_val_batches[0])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self.end_loop(trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begin_loop(trainer, pl_module)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx == 0:
            self.loop_batch(trainer, pl_module, batch, index=batch_idx, batches=trainer.num_test_batches[0])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.end_loop(trainer, pl_module)
