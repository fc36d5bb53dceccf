"""Penalties as callbacks for every LightningModule."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.added_gradient import add_gradient_of, owned_parameters
from lightning_gan.foreign.observed_turn import ObservedTurn, Watched
from lightning_gan.foreign.observer import Record, observer_of, release
from lightning_gan.loop.penalty import AsksPenalties, PenaltyTerm
from lightning_gan.loop.turn import Turn


@dataclass(kw_only=True, eq=False)
class Penalty(PenaltyTerm):
    """A regularizer: a pure function of a turn, a weight and an interval. It never steps and never calls backward.

    A subclass is a keyword-only dataclass that names its `player`, says which inputs have to be differentiable, gives
    its `weight` (a field or a property) and computes the unweighted number in `penalty`.

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
        self._batches_watched = 0
        self._steps_watched = 0

    # ------------------------------------------------------------------ in modules that do not ask their penalties

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, AsksPenalties):
            return
        self._batches_watched = self._steps_watched = 0
        try:
            observer_of(pl_module).watch(pl_module, critic=self.discriminator, generator=self.generator)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None
        network = self._network(pl_module)
        if not any(owned_parameters(network, optimizer) for optimizer in trainer.optimizers):
            raise ValueError(
                f"{type(self).__name__}: no optimizer of {type(pl_module).__name__} moves any of {self._path!r}; "
                f"name the network that is trained: {type(self).__name__}({self.player}=...)"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not isinstance(pl_module, AsksPenalties):
            observer_of(pl_module).begin_batch(batch, accumulates=pl_module.automatic_optimization)
            self._batches_watched += 1

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if isinstance(pl_module, AsksPenalties):
            return
        observer = observer_of(pl_module)
        observer.note_step()
        parameters = [p for p in owned_parameters(self._network(pl_module), optimizer) if p.requires_grad]
        if not parameters:
            return
        self._steps_watched += 1
        if not self.is_due(self.player):
            return
        names = [path for path in (self.discriminator, self.generator) if path is not None]
        # Under automatic optimization Lightning divides the loss of every batch by the number that it accumulates.
        accumulated = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
        try:
            with observer.paused():
                values = [
                    add_gradient_of(
                        partial(self.weighted, self._turn(pl_module, record)),
                        share=1 / accumulated,
                        networks=[pl_module.get_submodule(name) for name in names],
                        parameters=parameters,
                        strategy=trainer.strategy,
                    )
                    for record in observer.records
                ]
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from error
        pl_module.log(f"{self.player}/{self.name}", torch.stack(values).mean() / self.every_n_turns)
        self.after_step(trainer.strategy)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not isinstance(pl_module, AsksPenalties):
            observer_of(pl_module).end_batch(accumulates=pl_module.automatic_optimization)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, AsksPenalties) and self._batches_watched and not self._steps_watched:
            raise ValueError(
                f"{type(self).__name__}: it had no effect in {self._batches_watched} batches, because the optimizer of "
                f"{self._path!r} never stepped as Lightning sees it; step what self.optimizers() returns, and not its "
                "attribute .optimizer, and train for long enough that it steps"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        release(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        release(pl_module)

    @property
    def _path(self) -> str:
        path = self.discriminator if self.player == "discriminator" else self.generator
        assert path is not None
        return path

    def _network(self, pl_module: LightningModule) -> nn.Module:
        return pl_module.get_submodule(self._path)

    def _turn(self, pl_module: LightningModule, record: Record) -> Turn:
        turn = ObservedTurn()
        turn.watched = Watched(
            asker=type(self).__name__,
            player=self.player,
            pl_module=pl_module,
            record=record,
            critic=self.discriminator,
            generator=self.generator,
            real=self.real,
            differentiates_real=self.differentiates_real,
            differentiates_fake=self.differentiates_fake,
        )
        return turn

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
