"""The compiled cost of turns, which says what it compiles and how long that takes, and is eager where it cannot."""

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_gan.compat import CANNOT_BE_COMPILED, tracing_inner_gradients
from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.logged_numbers import RawLogits
from lightning_gan.loop.penalty_term import PenaltyTerm, named
from lightning_gan.loop.turn import Player
from lightning_gan.tensors.shapes import FakeImages, Scalar

Costs: TypeAlias = tuple[dict[str, Scalar], Leftover, RawLogits]
Cost: TypeAlias = Callable[[Player, tuple[PenaltyTerm, ...], Reals, Draws, FakeImages | None], Costs]
"""The method `GAN.cost`, or a function that computes the same."""


class CompiledCost:
    """Computes `GAN.cost` in one graph for each player, its due penalties and each resolution.

    A line says what is compiled, and another one how long its first turn took. If the networks or a penalty cannot be
    compiled, a warning says it once, and all turns are computed eagerly.

    Args:
        cost: the method `GAN.cost` of a model.
    """

    def __init__(self, cost: Cost) -> None:
        self._eager = cost
        # Without `tracing_inner_gradients` the inner gradient of a penalty would break the graph.
        self._compiled: Cost = tracing_inner_gradients(torch.compile(cost, fullgraph=True, dynamic=False))
        self._known: set[tuple[Any, ...]] = set()
        self._is_eager = False
        self._first: tuple[str, float] | None = None

    def __call__(
        self, player: Player, due: tuple[PenaltyTerm, ...], reals: Reals, draws: Draws, fake: FakeImages | None
    ) -> Costs:
        """The terms of a turn's cost, its leftover and its scores."""
        if self._is_eager:
            return self._eager(player, due, reals, draws, fake)
        self._tell_time()
        kind = (player, due, reals.images.shape)  # real images have the active resolution
        if kind in self._known:
            return self._compiled(player, due, reals, draws, fake)
        turn = f"the {player}'s turn" + "".join(f" with {name}" for name in named(due))
        rank_zero_info(f"compiling {turn}; this may take minutes, and is done once for each kind of turn")
        self._first = (turn, time.monotonic())
        try:
            costs = self._compiled(player, due, reals, draws, fake)
        except CANNOT_BE_COMPILED as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            rank_zero_warn(
                f"{turn} cannot be compiled ({reason}); training goes on without compilation. Leave training.compile "
                "out, or give networks and penalties that torch.compile(fullgraph=True) accepts"
            )
            self._is_eager, self._first = True, None
            return self._eager(player, due, reals, draws, fake)
        self._known.add(kind)
        return costs

    def _tell_time(self) -> None:
        """Say how long the turn before took, if it was compiled in it. The backward pass is compiled when it runs."""
        if self._first is not None:
            turn, began = self._first
            rank_zero_info(f"{turn} took {time.monotonic() - began:.0f} s with its compilation")
            self._first = None
