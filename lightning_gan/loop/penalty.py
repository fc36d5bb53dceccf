"""What the loop asks of a penalty: whether it is due, its number, and what it does after the step."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import Strategy

from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class PenaltyTerm(Callback):
    """A term of one player's cost. `GAN` looks for these among the trainer's callbacks and adds them to its own cost.

    `foreign.penalty.Penalty` makes such a term work in every LightningModule; regularizers derive from that class.

    Args:
        every_n_turns: the penalty joins every n-th turn of its player with n times the weight (lazy regularization,
            Karras et al. 2020, arXiv:1912.04958, appendix B). The Adam betas are left as they are, because the penalty
            joins a step that happens anyway.

    Raises:
        ValueError: for a negative weight or an interval below 1.
    """

    name: ClassVar[str]
    """The name its value is logged under."""
    player: ClassVar[Player]
    differentiates_real: ClassVar[bool] = False
    """Whether `turn.real` must require grad."""
    differentiates_fake: ClassVar[bool] = False
    """Whether `turn.fake` must require grad in the discriminator's turn."""

    every_n_turns: int = 1

    def __post_init__(self) -> None:
        if self.every_n_turns < 1:
            raise ValueError(f"{type(self).__name__}: every_n_turns={self.every_n_turns} must be at least 1")
        if self.weight < 0:
            raise ValueError(f"{type(self).__name__}: its weight {self.weight} must not be negative")
        self._turns_seen = 0

    @property
    @abstractmethod
    def weight(self) -> float:
        """What the unweighted number is multiplied by."""

    @abstractmethod
    def penalty(self, turn: Turn) -> Scalar:
        """The unweighted number, averaged over the batch."""

    def weighted(self, turn: Turn) -> Scalar:
        """What joins the player's cost in a turn that is due."""
        return self.weight * self.every_n_turns * self.penalty(turn)

    def is_due(self, player: Player) -> bool:
        """Count a turn of `player`; true when the penalty joins it. The first turn is always due."""
        if player != self.player:
            return False
        due = self._turns_seen % self.every_n_turns == 0
        self._turns_seen += 1
        return due

    def after_step(self, strategy: Strategy) -> None:
        """Called after the step of every turn that the penalty joined, to update state from what `penalty` measured.

        A running mean or a multiplier belongs here and not into `penalty`, which is traced into one graph: there,
        keep the detached measurement; here, average it over ranks (`strategy.reduce(value, reduce_op="mean")`).
        """

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"turns_seen": self._turns_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._turns_seen = state_dict["turns_seen"]


def named(due: Sequence[PenaltyTerm]) -> dict[str, PenaltyTerm]:
    """Penalties by the names of their terms; a second one of the same name (on other images, say) is numbered."""
    names: dict[str, PenaltyTerm] = {}
    for penalty in due:
        alike = sum(other.name == penalty.name for other in names.values())
        names[f"{penalty.name}_{alike + 1}" if alike else penalty.name] = penalty
    return names
