"""Callbacks that bend the game's vector field: consensus optimization, Nagarajan & Kolter's term, symplectic gradients.

They differentiate the players' gradients, so they act where those are known: right before a player steps, a term is
added to its gradient. The term is computed from the same images and latents as the player's turn, in one new look with
the generator in the graph, at the weights of that moment. In an alternating game the generator's term therefore sees a
discriminator that has just moved, and of a simultaneous game's equations each half is taken at its own point.
"""

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

from lightning_gan.layers.buffers import unmoved_buffers
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.distributed import means_over_ranks
from lightning_gan.loop.gan import GAN, PLAYERS
from lightning_gan.loop.turn import Player
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
from lightning_gan.tensors.shapes import FakeLabels, FakeLatents, Images, Labels, Scalar

Term: TypeAlias = Callable[[GameGradients, GameGradients], Scalar]
"""A part's gradients and the mean of all parts' to a number whose gradient is wanted."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """The game at one moment: gradients of both players' costs, from a turn's images.

    Attributes:
        parts: the gradients of every slice of the images.
        mean: their mean over slices and ranks, without graph.
        weights: the parameters of both players.
        average: means over ranks of some tensors.
    """

    parts: Iterable[GameGradients]
    mean: GameGradients
    weights: dict[Player, list[Tensor]]
    average: Callable[[Sequence[Tensor]], list[Tensor]]

    def gradient_of(self, term: Term, *, by: Player) -> list[Tensor | None]:
        """The gradient of a term by a player's weights, over all parts; None for weights it does not depend on."""
        weights = self.weights[by]
        totals: list[Tensor | None] = [None for _ in weights]
        count = 0
        for part in self.parts:
            for index, gradient in enumerate(derivative_by(term(part, self.mean), weights)):
                if gradient is not None:
                    before = totals[index]
                    totals[index] = gradient if before is None else before + gradient
            count += 1
        # Ranks have the same networks, so the same weights are None on all of them.
        known = [index for index, total in enumerate(totals) if total is not None]
        means = self.average([total / count for total in totals if total is not None])
        for index, mean in zip(known, means, strict=True):
            totals[index] = mean
        return totals


class _Slices:
    """The gradients of every slice of a turn's images, computed anew each time they are gone through."""

    def __init__(
        self,
        gan: GAN,
        *,
        real: Images,
        labels: Labels | None,
        latents: FakeLatents,
        fake_labels: FakeLabels | None,
        weights: dict[Player, list[Tensor]],
        by_opponent: bool,
    ) -> None:
        count = gan.loop.accumulate_slices
        classes, fake_classes = (
            [None] * count if given is None else given.chunk(count) for given in (labels, fake_labels)
        )
        self._inputs = list(zip(real.chunk(count), classes, latents.chunk(count), fake_classes, strict=True))
        self._gan, self._weights, self._by_opponent = gan, weights, by_opponent

    def __iter__(self) -> Iterator[GameGradients]:
        for real, labels, latents, fake_labels in self._inputs:
            generator_cost, discriminator_cost = both_costs(
                self._gan, real=real, labels=labels, latents=latents, fake_labels=fake_labels
            )
            yield game_gradients(
                generator_cost,
                discriminator_cost,
                generator_weights=self._weights["generator"],
                discriminator_weights=self._weights["discriminator"],
                by_opponent=self._by_opponent,
            )


def both_costs(
    gan: GAN, *, real: Images, labels: Labels | None, latents: FakeLatents, fake_labels: FakeLabels | None
) -> tuple[Scalar, Scalar]:
    """What the objective asks of the generator and of the discriminator, from one look with the generator in it."""
    turn = gan.look("generator", real=real, labels=labels, latents=latents, fake=None, fake_labels=fake_labels)
    real_logits = turn.real_logits if turn.real_logits is not None else gan.score(real, labels)
    judged = replace(turn, player="discriminator", real_logits=real_logits)
    return _total(gan.objective(turn)), _total(gan.objective(judged))


def _total(terms: dict[str, Scalar]) -> Scalar:
    return torch.stack(list(terms.values())).sum()


@dataclass(kw_only=True, eq=False)
class GameRegularizer(Callback):
    """Adds a term to a player's gradient before it steps. A subclass names its `players` and computes `adjustment`.

    Networks are differentiated twice by their weights, which costs about three times a plain turn. It works in a `GAN`
    on any number of devices that hold whole networks.

    Raises:
        ValueError: for a negative weight, a module that is no `GAN`, one whose turns depend on each other, or sharded
            weights (FSDP2).
    """

    name: ClassVar[str]
    """The name its size is logged under."""
    players: ClassVar[tuple[Player, ...]] = PLAYERS
    """Whose gradients it adds to."""
    by_opponent: ClassVar[bool] = False
    """Whether it needs the gradients of each player's cost by the other's weights."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"{type(self).__name__}: its weight {self.weight} must not be negative")
        self._batch: Batch | None = None
        self._batch_index = 0
        self._discriminator_turns = 0

    @property
    @abstractmethod
    def weight(self) -> float:
        """What the unweighted term is multiplied by."""

    @abstractmethod
    def size(self, mean: GameGradients) -> Scalar:
        """The unweighted number that is logged."""

    @abstractmethod
    def adjustment(self, game: Game, player: Player) -> list[Tensor | None]:
        """The unweighted term of `player`'s gradient, a tensor for each of its parameters or None for zeros."""

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(pl_module, GAN):
            raise ValueError(
                f"{type(self).__name__} needs the costs of both players, which only a lightning_gan.GAN tells; "
                f"{type(pl_module).__name__} is none"
            )
        if not pl_module.turns_are_independent:
            raise ValueError(
                f"{type(self).__name__} looks at what both players' turns cost; in {type(pl_module).__name__} a turn "
                "needs what the other player's has left, so it cannot be looked at alone; leave the callback out"
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
        assert isinstance(pl_module, GAN)
        player = PLAYERS[next(index for index, own in enumerate(trainer.optimizers) if own is optimizer)]
        turn = self._discriminator_turns
        self._discriminator_turns += player == "discriminator"
        if player not in self.players or self.weight == 0:
            return
        weights = {
            side: [weight for group in own.param_groups for weight in group["params"] if weight.requires_grad]
            for side, own in zip(PLAYERS, trainer.optimizers, strict=True)
        }
        # In fp32: the term is made of small differences that half precision would drown.
        with (
            torch.enable_grad(),
            torch.autocast(pl_module.device.type, enabled=False),
            unmoved_buffers(pl_module.generator, pl_module.discriminator),
        ):
            game = self._game(trainer, pl_module, player, turn, weights)
            adjustment = self.adjustment(game, player)
        for weight, change in zip(weights[player], adjustment, strict=True):
            if change is not None:
                weight.grad = change * self.weight if weight.grad is None else weight.grad.add_(change * self.weight)
        if (self._batch_index + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log(f"{player}/{self.name}", self.weight * self.size(game.mean))

    def _game(self, trainer: Trainer, gan: GAN, player: Player, turn: int, weights: dict[Player, list[Tensor]]) -> Game:
        """The game on the images and latents of the turn that is about to step."""
        assert self._batch is not None
        real, labels = gan.prepare(self._batch)
        pieces = gan.loop.pieces
        # The generator's turn comes after all others and takes the images of the last.
        piece, turn = (turn % pieces, turn) if player == "discriminator" else (pieces - 1, pieces)
        real = real.chunk(pieces)[piece]
        labels = None if labels is None else labels.chunk(pieces)[piece]
        latents, fake_labels = gan.draw_fakes(player, labels, images=len(real), turn=turn)
        slices: Iterable[GameGradients] = _Slices(
            gan,
            real=real,
            labels=labels,
            latents=latents,
            fake_labels=fake_labels,
            weights=weights,
            by_opponent=self.by_opponent,
        )
        if gan.loop.accumulate_slices == 1:
            slices = list(slices)  # its graph is small enough to be kept, and so one look is enough
        totals: list[Tensor] = []
        for part in slices:
            own = [gradient.detach() / gan.loop.accumulate_slices for gradient in part.flat()]
            totals = [a + b for a, b in zip(totals, own, strict=True)] if totals else own

        def average(tensors: Sequence[Tensor]) -> list[Tensor]:
            if trainer.world_size == 1:
                return list(tensors)  # in the memory formats that they have
            reduce = partial(trainer.strategy.reduce, reduce_op="mean")
            return [mean for _, means in means_over_ranks(tensors, reduce=reduce) for mean in means]

        return Game(parts=slices, mean=part.refilled(average(totals)), weights=weights, average=average)


@dataclass(kw_only=True, eq=False)
class ConsensusOptimization(GameRegularizer):
    """Both players also descend ``gamma / 2 * (||dL_G/dtheta||^2 + ||dL_D/dpsi||^2)`` (Mescheder et al. 2017,
    arXiv:1705.10461): the rotation of the game turns into a pull towards its equilibrium.

    Args:
        gamma: the paper's gamma; its experiments have 10, and 0.1 without batch normalization. A large one makes other
            points than the game's equilibria attractive.
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
    """The generator also descends ``eta * ||dL_D/dpsi||^2`` (Nagarajan & Kolter 2017, arXiv:1706.04156): it foresees
    how the discriminator will react. The discriminator's gradient is left as it is.

    Args:
        eta: the paper's eta; its experiments have 0.5.
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
    """Adds ``strength * A' xi`` to the gradient ``xi``, A being the part of the game's Jacobian that turns (Balduzzi et
    al. 2018, arXiv:1802.05642). What is logged as its size is ``||xi||^2 / 2``.

    Args:
        strength: the paper's lambda; 1 there.
        align: choose the sign of lambda by algorithm 1, which keeps unstable fixed points from attracting; it
            differentiates by both players' weights in every turn. Without it, lambda is positive.
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
