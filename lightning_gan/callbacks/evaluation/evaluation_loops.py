"""The base class of callbacks that act in `validate` and `test`, and not in the validation of `fit`."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn


class EvaluationLoops(Callback):
    """Calls the same three methods in the loops of `validate` and `test`.

    A subclass overrides the methods it needs and calls each through `super()` first.
    """

    def begin_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called when a loop begins."""

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        """Called after each batch of the first dataloader.

        Args:
            trainer: trainer that runs the loop.
            pl_module: module that is validated or tested.
            batch: batch of this rank.
            index: number of the batch, counted from 0.
            batches: number of batches in the loop; infinite if it is not known.
        """

    def end_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called when a loop ends, while numbers can still be logged."""

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
