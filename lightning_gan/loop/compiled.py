"""The compiled cost of turns, which says what it compiles and how long that takes, and is eager where it cannot."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_gan.compat import (
    CANNOT_BE_COMPILED,
    compiling_backward_at_once,
    stop_compiling,
    tracing_inner_gradients,
    with_most_graphs,
)
from lightning_gan.loop.compiled_code import keep_compiled_code
from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.logged_numbers import RawLogits
from lightning_gan.loop.penalty_term import PenaltyTerm, named
from lightning_gan.loop.turn import Player
from lightning_gan.tensors.shapes import FakeImages, Scalar

Costs: TypeAlias = tuple[dict[str, Scalar], Leftover, RawLogits]
Cost: TypeAlias = Callable[[Player, tuple[PenaltyTerm, ...], Reals, Draws, FakeImages | None], Costs]
"""The method `GAN.cost`, or a function that computes the same."""

UNFORESEEN_GRAPHS = 8
"""Graphs that may be compiled besides the one for each kind of turn: torch's own limit for one function. More of them
mean that every turn is compiled anew, for example because a penalty contains a number that always changes."""


class GuardsCompilation(Callback, ABC):
    """A callback that is told of batches in which turns are compiled, because these may take many minutes."""

    @abstractmethod
    def begin_compilation(self, trainer: Trainer) -> None:
        """Called before the first turn of such a batch, on every rank: the state is that after the batch before."""

    @abstractmethod
    def end_compilation(self) -> None:
        """Called after the last turn of such a batch, and when an error ends it."""


class CompiledCost:
    """Computes `GAN.cost` in one graph for each player, its due penalties and each stage of growing.

    A line says what is compiled, and another one how long it took, with the backward pass. If the networks or a penalty
    cannot be compiled, a warning says it once, and all turns are computed eagerly.

    Args:
        cost: the method `GAN.cost` of a model.
        stage: function that returns what else the graph depends on, equal on all ranks: the stage of growing.
    """

    def __init__(self, cost: Cost, *, stage: Callable[[], object]) -> None:
        keep_compiled_code()
        self._eager, self._stage = cost, stage
        # Without `tracing_inner_gradients` the inner gradient of a penalty would break the graph. With the backward
        # pass compiled at once, all that can fail or be interrupted comes before the state of a network changes.
        graph: Cost = torch.compile(cost, fullgraph=True, dynamic=False)
        self._compiled: Cost = compiling_backward_at_once(tracing_inner_gradients(graph))
        self._known: set[tuple[Any, ...]] = set()
        self._met: set[tuple[Any, ...]] = set()
        self._is_eager = False

    def __call__(
        self, player: Player, due: tuple[PenaltyTerm, ...], reals: Reals, draws: Draws, fake: FakeImages | None
    ) -> Costs:
        """The terms of a turn's cost, its leftover and its scores."""
        if self._is_eager:
            return self._eager(player, due, reals, draws, fake)
        kind = (player, due, reals.images.shape, self._stage())
        is_new = kind not in self._known
        self._known.add(kind)
        turn = f"the {player}'s turn" + "".join(f" with {name}" for name in named(due))
        began = time.monotonic()
        if is_new:
            turn += f" on {'x'.join(str(size) for size in reals.images.shape)}"
            rank_zero_info(f"compiling {turn}; this may take minutes, and is done once for each kind of turn")
        try:
            with with_most_graphs(len(self._known) + UNFORESEEN_GRAPHS):
                costs = self._compiled(player, due, reals, draws, fake)
        except CANNOT_BE_COMPILED as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            rank_zero_warn(
                f"{turn} cannot be compiled ({reason}); training goes on without compilation. Leave training.compile "
                "out, or give networks and penalties that torch.compile(fullgraph=True) accepts"
            )
            self._is_eager = True
            return self._eager(player, due, reals, draws, fake)
        except BaseException:  # a signal has ended the compilation
            stop_compiling()
            raise
        if is_new:
            rank_zero_info(f"compiled {turn} in {time.monotonic() - began:.0f} s")
        return costs

    @contextmanager
    def guarded(self, turns: Iterable[tuple[Player, tuple[PenaltyTerm, ...]]], trainer: Trainer) -> Iterator[None]:
        """Context manager for the turns of a batch, which tells the callbacks if turns are compiled in it.

        They may save together. Therefore it depends only on what is equal on all ranks, and not on the shape of the
        images or on what failed.

        Args:
            turns: player and due penalties of each turn of the batch.
            trainer: trainer with the callbacks.
        """
        kinds = {(player, due, self._stage()) for player, due in turns}
        is_new = not kinds <= self._met
        self._met |= kinds
        callbacks = trainer.callbacks if is_new else []  # type: ignore[attr-defined]
        guards = [callback for callback in callbacks if isinstance(callback, GuardsCompilation)]
        for guard in guards:
            guard.begin_compilation(trainer)
        try:
            yield
        finally:
            for guard in guards:
                guard.end_compilation()
