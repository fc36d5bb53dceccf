"""Penalties as callbacks for every LightningModule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.added_penalty import PlacedPenalty
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.penalty import PenaltyTerm


@dataclass(kw_only=True, eq=False)
class Penalty(PenaltyTerm, ImageClock):
    """A regularizer: a pure function of a turn, a weight and an interval. It never steps and never calls backward.

    A subclass is a keyword-only dataclass that names its `player`, says which inputs have to be differentiable, gives
    its `weight` (a field or a property) and computes the unweighted number in `penalty`. One that changes in training
    reads `images_seen` in `on_train_batch_start`, after `super()`.

    A `GAN` asks its penalties within its turns. In every other LightningModule a penalty is settled before each step of
    the optimizer that moves its player's network: the networks' calls are observed, the penalty looks once more, and
    its gradient is added. The last three arguments are for such modules alone.

    Args:
        every_n_turns: see `PenaltyTerm`.
        discriminator: where the module has its critic, as an attribute path.
        generator: where it has its generator; None if it has none.
        real: takes the real images out of a batch (as the critic gets them), where they cannot be recognized.

    Raises:
        ValueError: for a negative weight or an interval below 1; when fit starts, for networks that are not there or
            that no optimizer moves; at the first turn, for images that cannot be told apart; and when fit ends, if
            there never was a turn.
    """

    discriminator: str = "discriminator"
    generator: str | None = "generator"
    real: Callable[[Any], Tensor] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.player == "generator" and self.generator is None:
            raise ValueError(f"{type(self).__name__}: it regularizes the generator; generator must not be None")

    # ------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        host_of(pl_module).penalties.begin_fit(self._placed, trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        host_of(pl_module).penalties.begin_batch(self._placed, batch)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        host_of(pl_module).penalties.before_step(self._placed, trainer, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        host_of(pl_module).penalties.end_batch()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        host_of(pl_module).penalties.end_fit(self._placed)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        host_of(pl_module).penalties.release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        host_of(pl_module).penalties.release()

    @property
    def _placed(self) -> PlacedPenalty:
        return PlacedPenalty(term=self, discriminator=self.discriminator, generator=self.generator, real=self.real)

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        # Two penalties of one class may work side by side (on other networks, say), if their settings differ.
        return state_key_of(
            self,
            name=self.name,
            every_n_turns=self.every_n_turns,
            weight=self.weight,
            discriminator=self.discriminator,
            generator=self.generator,
        )
