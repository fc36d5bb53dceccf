"""When a penalty joins a player's step: by the module's own loop, or added before the optimizer steps.

A `GAN` asks its penalties within its turns. In any other module the networks' calls are observed; before each step of
the optimizer that moves a penalty's network, the penalty is computed once more and its gradient is added.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gan.foreign.added_gradient import add_gradient_of, owned_parameters
from lightning_gan.foreign.observed_turn import ObservedTurn, Watched
from lightning_gan.foreign.observer import Observer, Record, observer_of, release
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.penalty import PenaltyTerm
from lightning_gan.loop.turn import Turn


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedPenalty:
    """A penalty, and where its networks and its images are in a module that is no `GAN`.

    Args:
        term: the penalty.
        discriminator: attribute path of the critic.
        generator: attribute path of the generator; None if there is none.
        real: takes the real images out of a batch, where they cannot be recognized.
    """

    term: PenaltyTerm
    discriminator: str
    generator: str | None
    real: Callable[[Any], Tensor] | None

    @property
    def name(self) -> str:
        """The penalty's class, for errors."""
        return type(self.term).__name__

    @property
    def path(self) -> str:
        """Attribute path of the network that the penalty regularizes."""
        path = self.discriminator if self.term.player == "discriminator" else self.generator
        assert path is not None
        return path


class PenaltySteps(ABC):
    """What happens to penalties in a fit, hook by hook."""

    @abstractmethod
    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Fit starts.

        Raises:
            ValueError: for networks that are not there, or that no optimizer moves.
        """

    @abstractmethod
    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """The module begins to work on a batch."""

    @abstractmethod
    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """An optimizer is about to step.

        Raises:
            ValueError: for images that cannot be told apart.
        """

    @abstractmethod
    def end_batch(self) -> None:
        """The module has worked on a batch."""

    @abstractmethod
    def end_fit(self, placed: PlacedPenalty) -> None:
        """Fit ends.

        Raises:
            ValueError: if there were batches, but never a step that the penalty could join.
        """

    @abstractmethod
    def release(self) -> None:
        """Take away whatever watches the module."""


@final
class JoinedPenalties(PenaltySteps):
    """A `GAN`'s own loop asks its penalties, so that they join its one backward: no hook has anything to do."""

    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Nothing."""

    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """Nothing."""

    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """Nothing."""

    def end_batch(self) -> None:
        """Nothing."""

    def end_fit(self, placed: PlacedPenalty) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""


@final
class AddedPenalties(PenaltySteps):
    """Penalties of any other module: their gradients are added right before the step."""

    def __init__(self, module: LightningModule) -> None:
        self.module = module

    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        for name, path in (("discriminator", placed.discriminator), ("generator", placed.generator)):
            if path is not None:
                network_of(self.module, path, setting=f"{placed.name}({name}=...)")
        self._observer.watch(self.module, critic=placed.discriminator, generator=placed.generator)
        self._observer.begin_count(placed.term)
        if not any(owned_parameters(self._network(placed), optimizer) for optimizer in trainer.optimizers):
            raise ValueError(
                f"{placed.name}: no optimizer of {type(self.module).__name__} moves any of {placed.path!r}; "
                f"name the network that is trained: {placed.name}({placed.term.player}=...)"
            )

    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        self._observer.begin_batch(batch, accumulates=self.module.automatic_optimization)
        self._observer.count_of(placed.term).batches += 1

    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        observer, term = self._observer, placed.term
        observer.note_step()
        parameters = [p for p in owned_parameters(self._network(placed), optimizer) if p.requires_grad]
        if not parameters:
            return
        observer.count_of(term).steps += 1
        if not term.is_due(term.player):
            return
        names = [path for path in (placed.discriminator, placed.generator) if path is not None]
        # Under automatic optimization Lightning divides the loss of every batch by the number that it accumulates.
        accumulated = trainer.accumulate_grad_batches if self.module.automatic_optimization else 1
        try:
            with observer.paused():
                values = [
                    add_gradient_of(
                        partial(term.weighted, self._turn(placed, record)),
                        share=1 / accumulated,
                        networks=[self.module.get_submodule(name) for name in names],
                        parameters=parameters,
                        strategy=trainer.strategy,
                    )
                    for record in observer.records
                ]
        except ValueError as error:
            raise ValueError(f"{placed.name}: {error}") from error
        self.module.log(f"{term.player}/{term.name}", torch.stack(values).mean() / term.every_n_turns)
        term.after_step(trainer.strategy)

    def end_batch(self) -> None:
        self._observer.end_batch(accumulates=self.module.automatic_optimization)

    def end_fit(self, placed: PlacedPenalty) -> None:
        count = self._observer.count_of(placed.term)
        if count.batches and not count.steps:
            raise ValueError(
                f"{placed.name}: it had no effect in {count.batches} batches, because the optimizer of "
                f"{placed.path!r} never stepped as Lightning sees it; step what self.optimizers() returns, and not its "
                "attribute .optimizer, and train for long enough that it steps"
            )

    def release(self) -> None:
        release(self.module)

    @property
    def _observer(self) -> Observer:
        return observer_of(self.module)

    def _network(self, placed: PlacedPenalty) -> nn.Module:
        return self.module.get_submodule(placed.path)

    def _turn(self, placed: PlacedPenalty, record: Record) -> Turn:
        turn = ObservedTurn()
        turn.watched = Watched(
            asker=placed.name,
            player=placed.term.player,
            pl_module=self.module,
            record=record,
            critic=placed.discriminator,
            generator=placed.generator,
            real=placed.real,
            differentiates_real=placed.term.differentiates_real,
            differentiates_fake=placed.term.differentiates_fake,
        )
        return turn
