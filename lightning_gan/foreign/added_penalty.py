"""How a penalty is added to a player's cost: by a `GAN`'s own loop, or by its gradient before the optimizer's step.

A `GAN` adds the penalty to its own cost. In every other module the calls of its networks are recorded. Before each step
of the optimizer that updates the penalty's network, another forward pass computes the penalty, and its gradient is
added.
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
from lightning_gan.loop.penalty_term import PenaltyTerm
from lightning_gan.loop.turn import Turn


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedPenalty:
    """A penalty, and the places of its networks and of the real images in a module that is not a `GAN`.

    Args:
        term: the penalty.
        discriminator: attribute path of the discriminator.
        generator: attribute path of the generator; None if the module has none.
        real: function that takes the real images out of a batch; None if they can be recognized.
    """

    term: PenaltyTerm
    discriminator: str
    generator: str | None
    real: Callable[[Any], Tensor] | None

    @property
    def name(self) -> str:
        """The name of the penalty's class, for error messages."""
        return type(self.term).__name__

    @property
    def path(self) -> str:
        """Attribute path of the network that the penalty regularizes."""
        path = self.discriminator if self.term.player == "discriminator" else self.generator
        assert path is not None
        return path


class PenaltySteps(ABC):
    """What a penalty does in the hooks of a training."""

    @abstractmethod
    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Check the networks when fit starts.

        Raises:
            ValueError: for networks that do not exist, or that no optimizer updates.
        """

    @abstractmethod
    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """Begin to record the networks' calls for a batch."""

    @abstractmethod
    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """Add the gradient of the penalty if the optimizer, which is about to step, updates its network.

        Raises:
            ValueError: if the real or the fake images cannot be identified.
        """

    @abstractmethod
    def end_batch(self) -> None:
        """Stop recording after a batch."""

    @abstractmethod
    def end_fit(self, placed: PlacedPenalty) -> None:
        """Check when fit ends that the penalty had a step.

        Raises:
            ValueError: if there were batches, but no step of the optimizer of the penalty's network.
        """

    @abstractmethod
    def release(self) -> None:
        """Remove the hooks from the module's networks."""


@final
class JoinedPenalties(PenaltySteps):
    """Penalties of a `GAN`, whose own loop adds them to its cost. The hooks do nothing."""

    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Do nothing."""

    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """Do nothing."""

    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """Do nothing."""

    def end_batch(self) -> None:
        """Do nothing."""

    def end_fit(self, placed: PlacedPenalty) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


@final
class AddedPenalties(PenaltySteps):
    """Penalties of a module that is not a `GAN`. Their gradients are added immediately before the optimizer's step."""

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
                f"{placed.name}: no optimizer of {type(self.module).__name__} updates a parameter of {placed.path!r}; "
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
        # Under automatic optimization Lightning divides the loss of every batch by `accumulate_grad_batches`.
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
                f"{placed.name}: it had no effect in {count.batches} batches, because Lightning did not see a step of "
                f"the optimizer of {placed.path!r}; call step() of what self.optimizers() returns, and not of its "
                "attribute .optimizer, and train until it steps at least once"
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
