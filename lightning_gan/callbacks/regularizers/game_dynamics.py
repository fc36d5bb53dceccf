"""Regularizers that add second derivatives of both players' costs to a player's gradient, right before its step.

Each term is computed from the images and latents of the player's turn, in a new forward pass with the present weights.
With alternating steps, the generator's term therefore uses the weights of the discriminator after its step, although
the papers' equations, which are for simultaneous steps, take both terms at the same weights.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lightning_gan.foreign.host import host_of
from lightning_gan.layers.buffers import unmoved_buffers
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.distributed import means_over_ranks
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import PLAYERS, Player
from lightning_gan.penalties.game_gradients import (
    GameGradients,
    alignment,
    consensus,
    consensus_size,
    derivative_by,
    game_gradients,
    nagarajan_kolter,
    squared_norm,
    symplectic_of_discriminator,
    symplectic_of_generator,
)
from lightning_gan.tensors.shapes import Scalar

Term: TypeAlias = Callable[[GameGradients, GameGradients], Scalar]
"""A function of one part's gradients and of the mean over all parts; the gradient of its value is the wanted term."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """The gradients of both players' costs for the images of one turn.

    Attributes:
        parts: gradients of every slice of the images, with graph.
        mean: mean of these gradients over slices and ranks, without graph.
        weights: parameters of both players.
        average: function that averages tensors over ranks.
    """

    parts: Iterable[GameGradients]
    mean: GameGradients
    weights: dict[Player, list[Tensor]]
    average: Callable[[Sequence[Tensor]], list[Tensor]]

    def gradient_of(self, term: Term, *, by: Player) -> list[Tensor | None]:
        """Returns the gradient of a term by a player's weights, averaged over parts and ranks.

        Args:
            term: function of a part's gradients and of the mean gradients.
            by: player by whose weights the term is differentiated.

        Returns:
            One tensor per weight; None for weights that the term does not depend on.
        """
        weights = self.weights[by]
        totals: list[Tensor | None] = [None for _ in weights]
        count = 0
        for part in self.parts:
            for index, gradient in enumerate(derivative_by(term(part, self.mean), weights)):
                if gradient is not None:
                    before = totals[index]
                    totals[index] = gradient if before is None else before + gradient
            count += 1
        # All ranks have the same networks, so that the same totals are None on all of them.
        known = [index for index, total in enumerate(totals) if total is not None]
        means = self.average([total / count for total in totals if total is not None])
        for index, mean in zip(known, means, strict=True):
            totals[index] = mean
        return totals


class _Slices:
    """The gradients of every slice of a turn's images; each iteration over them computes them anew."""

    def __init__(
        self, gan: GAN, *, reals: Reals, draws: Draws, weights: dict[Player, list[Tensor]], by_opponent: bool
    ) -> None:
        count = gan.settings.accumulate_slices
        self._inputs = list(zip(reals.chunk(count), draws.chunk(count), strict=True))
        self._gan, self._weights, self._by_opponent = gan, weights, by_opponent

    def __iter__(self) -> Iterator[GameGradients]:
        for reals, draws in self._inputs:
            generator_cost, discriminator_cost = both_costs(self._gan, reals=reals, draws=draws)
            yield game_gradients(
                generator_cost,
                discriminator_cost,
                generator_weights=self._weights["generator"],
                discriminator_weights=self._weights["discriminator"],
                by_opponent=self._by_opponent,
            )


def both_costs(gan: GAN, *, reals: Reals, draws: Draws) -> tuple[Scalar, Scalar]:
    """Computes the costs of the generator and of the discriminator from one forward pass of both networks.

    Both costs can be differentiated by the weights of both players.

    Args:
        gan: model whose objective is computed.
        reals: real samples of the turn.
        draws: latents and labels of the generated samples.

    Returns:
        The generator's cost and the discriminator's cost, without penalties.
    """
    turn = gan.run_networks("generator", reals, draws, None)
    real_logits = turn.real_logits if turn.real_logits is not None else gan.score(turn.real, turn.labels)
    judged = replace(turn, player="discriminator", scores=replace(turn.scores, real_logits=real_logits))
    return _total(gan.objective(turn)), _total(gan.objective(judged))


def _total(terms: dict[str, Scalar]) -> Scalar:
    return torch.stack(list(terms.values())).sum()


@dataclass(kw_only=True, eq=False)
class GameRegularizer(Callback):
    """The base class of callbacks that add a term to a player's gradient before its step.

    A subclass names its `players` and computes the term in `adjustment`. Networks are differentiated twice by their
    weights, which costs about three times as much as a plain turn. The callback works in a `GAN`, on any number of
    devices, as long as each device holds whole networks.

    Raises:
        ValueError: for a negative weight, a module that is no `GAN`, a `GAN` whose turns depend on each other, or
            sharded weights (FSDP2).
    """

    name: ClassVar[str]
    """Name that the size of the term is logged under."""
    players: ClassVar[tuple[Player, ...]] = PLAYERS
    """Players whose gradients get the term."""
    by_opponent: ClassVar[bool] = False
    """Whether the term needs the gradients of each player's cost by the other player's weights."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"{type(self).__name__}: its weight {self.weight} must not be negative")
        self._batch: Batch | None = None
        self._batch_index = 0
        self._discriminator_turns = 0

    @property
    @abstractmethod
    def weight(self) -> float:
        """The factor of the unweighted term."""

    @abstractmethod
    def size(self, mean: GameGradients) -> Scalar:
        """Returns the size of the term, which is logged times the weight."""

    @abstractmethod
    def adjustment(self, game: Game, player: Player) -> list[Tensor | None]:
        """Returns the unweighted term of `player`'s gradient.

        Args:
            game: gradients of both players' costs in this turn.
            player: player that is about to step.

        Returns:
            One tensor per parameter of `player`; None for zeros.
        """

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        gan = self._gan_of(pl_module)
        if not gan.turns_are_independent:
            raise ValueError(
                f"{type(self).__name__} computes both players' costs again, but in {type(gan).__name__} a player's "
                "turn needs results of the other player's turn, so it cannot be computed alone; leave the callback out"
            )

    def _gan_of(self, pl_module: LightningModule) -> GAN:
        return host_of(pl_module).gan(
            type(self).__name__,
            problem="the costs of both players are not known",
            remedy="make the module a lightning_gan.GAN, or leave the callback out",
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if any(isinstance(parameter, DTensor) for parameter in pl_module.parameters()):
            raise ValueError(
                f"{type(self).__name__} differentiates gradients by the weights, which sharding (FSDP2) hides from the "
                "graph; use strategy='gan_ddp'"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch, self._batch_index, self._discriminator_turns = batch, batch_idx, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = None

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        gan = self._gan_of(pl_module)
        player = PLAYERS[next(index for index, own in enumerate(trainer.optimizers) if own is optimizer)]
        turn = self._discriminator_turns
        self._discriminator_turns += player == "discriminator"
        if player not in self.players or self.weight == 0:
            return
        weights = {
            side: [weight for group in own.param_groups for weight in group["params"] if weight.requires_grad]
            for side, own in zip(PLAYERS, trainer.optimizers, strict=True)
        }
        # In fp32, because the term consists of small differences that half precision would round to 0.
        with (
            torch.enable_grad(),
            torch.autocast(gan.device.type, enabled=False),
            unmoved_buffers(gan.generator, gan.discriminator),
        ):
            game = self._game(trainer, gan, player, turn, weights)
            adjustment = self.adjustment(game, player)
        for weight, change in zip(weights[player], adjustment, strict=True):
            if change is not None:
                weight.grad = change * self.weight if weight.grad is None else weight.grad.add_(change * self.weight)
        if (self._batch_index + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            gan.log(f"{player}/{self.name}", self.weight * self.size(game.mean))

    def _game(self, trainer: Trainer, gan: GAN, player: Player, turn: int, weights: dict[Player, list[Tensor]]) -> Game:
        """The gradients for the images and latents of the turn whose optimizer is about to step."""
        assert self._batch is not None
        batch = gan.prepare(self._batch)
        pieces = gan.settings.pieces
        # The generator's turn comes after all others and takes the images of the last.
        piece, turn = (turn % pieces, turn) if player == "discriminator" else (pieces - 1, pieces)
        reals = batch.chunk(pieces)[piece]
        draws = gan.draw(player, reals, batch=batch, turn=turn, left=())
        slices: Iterable[GameGradients] = _Slices(
            gan, reals=reals, draws=draws, weights=weights, by_opponent=self.by_opponent
        )
        if gan.settings.accumulate_slices == 1:
            slices = list(slices)  # one slice's graph can be kept in memory, so that one forward pass is enough
        totals: list[Tensor] = []
        for part in slices:
            own = [gradient.detach() / gan.settings.accumulate_slices for gradient in part.flat()]
            totals = [a + b for a, b in zip(totals, own, strict=True)] if totals else own

        def average(tensors: Sequence[Tensor]) -> list[Tensor]:
            if trainer.world_size == 1:
                return list(tensors)  # in the memory formats that they have
            reduce = partial(trainer.strategy.reduce, reduce_op="mean")
            return [mean for _, means in means_over_ranks(tensors, reduce=reduce) for mean in means]

        return Game(parts=slices, mean=part.refilled(average(totals)), weights=weights, average=average)


@dataclass(kw_only=True, eq=False)
class ConsensusOptimization(GameRegularizer):
    """Adds the gradient of ``gamma / 2 * (||dL_G/dtheta||^2 + ||dL_D/dpsi||^2)`` to both players' gradients.

    Mescheder et al. 2017 (arXiv:1705.10461), section 4: the term makes training converge to an equilibrium that it
    would otherwise rotate around.

    Args:
        gamma: factor of the term, the paper's gamma. The authors' scripts use 10, with and without batch normalization,
            and 0.1 for one small network without it. With a large gamma, training can converge to points that are no
            equilibria.
    """

    name: ClassVar[str] = "consensus"

    gamma: float = 10.0

    @property
    def weight(self) -> float:
        return self.gamma

    def size(self, mean: GameGradients) -> Scalar:
        return consensus_size(mean)

    def adjustment(self, game: Game, player: Player) -> list[Tensor | None]:
        return game.gradient_of(consensus, by=player)


@dataclass(kw_only=True, eq=False)
class NagarajanKolter(GameRegularizer):
    """Adds the gradient of ``eta * ||dL_D/dpsi||^2`` to the generator's gradient.

    Nagarajan & Kolter 2017 (arXiv:1706.04156), section 4: the generator also minimizes the norm of the discriminator's
    gradient, and thus accounts for the discriminator's next step. The discriminator's gradient does not change.

    Args:
        eta: factor of the term, the paper's eta; 0.5 in the paper's experiments.
    """

    name: ClassVar[str] = "nagarajan_kolter"
    players: ClassVar[tuple[Player, ...]] = ("generator",)

    eta: float = 0.5

    @property
    def weight(self) -> float:
        return self.eta

    def size(self, mean: GameGradients) -> Scalar:
        return squared_norm(mean.discriminator)

    def adjustment(self, game: Game, player: Player) -> list[Tensor | None]:
        return game.gradient_of(nagarajan_kolter, by=player)


@dataclass(kw_only=True, eq=False)
class SymplecticGradientAdjustment(GameRegularizer):
    """Adds ``strength * A' xi`` to the gradient ``xi``, where A is the antisymmetric part of the game's Jacobian.

    Balduzzi et al. 2018, arXiv:1802.05642. The logged size is ``strength * ||xi||^2 / 2``.

    Args:
        strength: factor of the term, the paper's lambda; 1 in the paper.
        align: whether algorithm 1 of the paper chooses the sign of lambda, so that training does not converge to
            unstable fixed points. It differentiates by both players' weights in every turn. If it is False, lambda is
            positive. The authors' notebook chooses the minus sign more often (`penalties.game_gradients.alignment`).
    """

    name: ClassVar[str] = "symplectic"
    by_opponent: ClassVar[bool] = True

    strength: float = 1.0
    align: bool = True

    @property
    def weight(self) -> float:
        return self.strength

    def size(self, mean: GameGradients) -> Scalar:
        return consensus_size(mean)

    def adjustment(self, game: Game, player: Player) -> list[Tensor | None]:
        terms: dict[Player, Term] = {
            "discriminator": symplectic_of_discriminator,
            "generator": symplectic_of_generator,
        }
        if not self.align:
            return game.gradient_of(terms[player], by=player)
        by_player = {side: game.gradient_of(terms[side], by=side) for side in PLAYERS}
        sign = alignment(
            [*game.mean.discriminator, *game.mean.generator],
            [change for side in PLAYERS for change in _filled(by_player[side], game.weights[side])],
            [
                change
                for side in PLAYERS
                for change in _filled(game.gradient_of(consensus, by=side), game.weights[side])
            ],
        )
        return [None if change is None else sign * change for change in by_player[player]]


def _filled(changes: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor]:
    return [
        torch.zeros_like(weight) if change is None else change for change, weight in zip(changes, weights, strict=True)
    ]
