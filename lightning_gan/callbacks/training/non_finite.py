"""What happens when a number of the training is not finite: stop, leave the step out, or roll back to a checkpoint."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.compat import norms_of_all
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.checkpointing import CheckpointError, read_checkpoint
from lightning_gan.loop.finite import (
    HandlesNonFinite,
    NonFiniteError,
    NonFiniteNumber,
    NumberRecord,
    Numbers,
    gradients_of,
    is_set_on_a_rank,
    uses_loss_scaler,
)
from lightning_gan.loop.finite_checkpoint import first_non_finite
from lightning_gan.loop.penalty_term import PenaltyTerm
from lightning_gan.loop.watching import EVERY_N_BATCHES


class NonFinitePolicy(Enum):
    """What happens when a number is not finite. On the command line a policy is given by its name."""

    stop = "stop"
    """Training stops with an error that names the number."""
    skip = "skip"
    """Steps with gradients that are not finite are left out, and counted."""
    roll_back = "roll_back"
    """The newest good checkpoint is loaded, and training goes on with lower learning rates."""


class NonFinite(HandlesNonFinite):
    """Decides what happens when a loss, a gradient, a weight or a pixel is not finite, in every LightningModule.

    A `GAN` stops by itself with an error; there, this callback is for another policy or another interval. In other
    modules it also does the watching: of the losses that are differentiated, of the gradients before each step of an
    optimizer, and of the weights. Numbers are read every `every_n_batches` batches, before checkpoints are saved,
    before validation, and at the end, always on all ranks together. In fp16 with a loss scaler, infinite gradients are
    normal: the scaler leaves their steps out itself.

    The policies `skip` and `roll_back` wait for the device in every batch, which makes training on a GPU somewhat
    slower. A label out of range always stops training, and so does a weight that is not finite under `skip`.

    List this callback after all regularizers if the module is no `GAN`.

    Args:
        policy: `stop`, `skip` or `roll_back`. `skip` leaves an optimizer's step out when a gradient is not finite, and
            logs their number as `non_finite/steps_left_out`. `roll_back` takes the weights, the averages, and the
            states of optimizers and regularizers of the newest checkpoint of this training; the images seen and the
            data go on.
        every_n_batches: number of batches between two readings under the policy `stop`.
        most_in_a_row: how many steps of an optimizer in a row `skip` leaves out before it is an error.
        most_roll_backs: how often `roll_back` goes back in a training before it is an error.
        rate_factor: factor in (0, 1] of the learning rates at each roll-back. Schedulers of PyTorch that compute the
            rate anew in every step may undo it; the callback `LearningRate` keeps it.

    Raises:
        ValueError: for settings out of range; before training, for `roll_back` without a
            checkpoint callback or with sharded weights, and in a module that is no `GAN` for a regularizer behind it.
        NonFiniteError: in training, when it has to stop.
    """

    def __init__(
        self,
        *,
        policy: NonFinitePolicy = NonFinitePolicy.stop,
        every_n_batches: int = EVERY_N_BATCHES,
        most_in_a_row: int = 20,
        most_roll_backs: int = 3,
        rate_factor: float = 0.5,
    ) -> None:
        counts = {
            "every_n_batches": every_n_batches,
            "most_in_a_row": most_in_a_row,
            "most_roll_backs": most_roll_backs,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"NonFinite: {name}={count} must be at least 1")
        if not 0 < rate_factor <= 1:
            raise ValueError(f"NonFinite: rate_factor={rate_factor} must be above 0 and at most 1")
        self.policy = policy
        self.every_n_batches = 1 if policy is NonFinitePolicy.roll_back else every_n_batches
        self.leaves_steps_out = policy is NonFinitePolicy.skip
        self.most_in_a_row = most_in_a_row
        self.most_roll_backs = most_roll_backs
        self.rate_factor = rate_factor
        self.steps_left_out = 0
        self.roll_backs = 0
        self._in_a_row: Counter[int] = Counter()
        self._record = NumberRecord(clock_unit=None)
        self._batches = 0
        self._began = math.inf

    # ------------------------------------------------------------------ checks before training

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self._record.clear()
        self._in_a_row.clear()
        if self.policy is NonFinitePolicy.roll_back:
            if isinstance(trainer.strategy, ModelParallelStrategy):
                raise ValueError("NonFinite: policy=roll_back cannot load sharded weights; choose stop or skip")
            if not trainer.checkpoint_callbacks and not trainer.fast_dev_run:  # type: ignore[attr-defined]
                raise ValueError(
                    "NonFinite: policy=roll_back needs checkpoints to go back to; add the callback KimgCheckpoint, or "
                    "choose stop or skip"
                )
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        behind = [c for c in callbacks[callbacks.index(self) :] if isinstance(c, PenaltyTerm)]
        if behind and not host_of(pl_module).watches_numbers:
            raise ValueError(
                f"NonFinite: {type(behind[0]).__name__} adds its gradient after this callback has looked at the "
                "gradients; list NonFinite behind all regularizers"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.time()

    # ------------------------------------------------------------------ watching modules that do not watch themselves

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if not host_of(pl_module).watches_numbers and not self.leaves_steps_out:
            advice = "lower the learning rates, or look at what the loss divides by and takes the logarithm of"
            self._record.add_terms(
                loss.detach().reshape(-1), names=["the loss"] * loss.numel(), images_seen=self._batches, advice=advice
            )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if host_of(pl_module).watches_numbers:
            return
        if self.leaves_steps_out:
            self.leaves_out(trainer, optimizer)
            return
        self._record.add_gradients(
            gradients_of(optimizer),
            images_seen=self._batches,
            advice="lower the learning rate of its optimizer, or limit its gradient",
            scaled=uses_loss_scaler(trainer),
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not host_of(pl_module).watches_numbers:
            self._batches += 1
            if self._batches % self.every_n_batches == 0:
                self._read(trainer, pl_module, repair=True)
        if self.leaves_steps_out and (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log("non_finite/steps_left_out", float(self.steps_left_out))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._read(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(trainer, pl_module)

    def _read(self, trainer: Trainer, pl_module: LightningModule, *, repair: bool = False) -> None:
        if host_of(pl_module).watches_numbers:
            return
        found = self._record.read(pl_module, images_seen=self._batches, weights=True)
        if found is None:
            return
        if not repair:
            raise NonFiniteError(found.message)
        self.handle(trainer, pl_module, found)
        self._record.clear()

    # ------------------------------------------------------------------ skip

    @torch.no_grad()
    def leaves_out(self, trainer: Trainer, optimizer: Optimizer) -> bool:
        if uses_loss_scaler(trainer):
            return False
        gradients = gradients_of(optimizer)
        flag = torch.zeros((), device=trainer.strategy.root_device)
        if gradients:
            flag = (~norms_of_all([gradient for _, gradient in gradients]).isfinite()).any()
        index = next(place for place, own in enumerate(trainer.optimizers) if own is optimizer)
        if not is_set_on_a_rank(flag):
            self._in_a_row[index] = 0
            return False
        self.steps_left_out += 1
        self._in_a_row[index] += 1
        if self._in_a_row[index] > self.most_in_a_row:
            raise NonFiniteError(
                f"NonFinite: {self._in_a_row[index]} steps in a row of {type(optimizer).__name__} (optimizer {index}) "
                "had gradients that are not finite; lower its learning rate and go on from an earlier checkpoint"
            )
        for parameter, _ in gradients:
            parameter.grad = None
        return True

    # ------------------------------------------------------------------ roll back

    def handle(self, trainer: Trainer, pl_module: LightningModule, found: NonFiniteNumber) -> None:
        if self.policy is not NonFinitePolicy.roll_back or found.numbers is Numbers.LABELS:
            raise NonFiniteError(found.message)
        if self.roll_backs == self.most_roll_backs:
            raise NonFiniteError(f"{found.message} (after {self.roll_backs} roll-backs, as many as are allowed)")
        path = trainer.strategy.broadcast(next(self._good_checkpoints(trainer, pl_module), None))
        if path is None:
            raise NonFiniteError(f"{found.message} (there is no checkpoint of this training to roll back to)")
        self.roll_backs += 1
        self._restore(trainer, pl_module, read_checkpoint(path, for_training=True))
        rank_zero_warn(
            f"NonFinite: {found.message}. Rolled back to {path}, with the learning rates times {self.rate_factor} "
            f"(roll-back {self.roll_backs} of {self.most_roll_backs})"
        )

    def _good_checkpoints(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Path]:
        """Paths of this training's checkpoints that are whole and finite, newest first."""
        folders = {Path(callback.dirpath) for callback in trainer.checkpoint_callbacks if callback.dirpath}  # type: ignore[attr-defined]
        written = [path for folder in folders for path in folder.glob("*.ckpt") if path.is_file()]
        own = [path for path in written if path.stat().st_mtime >= self._began]
        paths = sorted(own, key=lambda path: path.stat().st_mtime, reverse=True)
        buffers = {name for name, _ in pl_module.named_buffers()}
        for path in [*paths, *([Path(trainer.ckpt_path)] if trainer.ckpt_path else [])]:
            try:
                checkpoint = read_checkpoint(path, for_training=True)
            except CheckpointError:
                continue
            if first_non_finite(checkpoint, buffers=buffers) is None:
                yield path

    def _restore(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take over what a checkpoint holds of networks, optimizers, averages and regularizers."""
        host_of(pl_module).load_weights(checkpoint["state_dict"])
        for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
            rates = [dict(group) for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for group, before in zip(optimizer.param_groups, rates, strict=True):
                for name in {"lr", "initial_lr"} & before.keys():
                    group[name] = before[name] * self.rate_factor
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, PenaltyTerm | AveragesGenerator):
                if (saved := checkpoint["callbacks"].get(callback.state_key)) is not None:
                    callback.load_state_dict(saved)
                callback.on_train_start(trainer, pl_module)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"steps_left_out": self.steps_left_out, "roll_backs": self.roll_backs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.steps_left_out, self.roll_backs = state_dict["steps_left_out"], state_dict["roll_backs"]
