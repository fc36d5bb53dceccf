"""The interface of penalties for the loop: when a penalty is due, its value, and its update after the step."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import Strategy

from lightning_gan.compat import settings_of_state_key
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class PenaltyTerm(Callback):
    """A term of one player's cost. `GAN` finds these terms among the trainer's callbacks and adds them to its own cost.

    Regularizers derive from `foreign.penalty.Penalty`, which makes such a term work in every LightningModule.

    Args:
        every_n_turns: Interval of the penalty, in turns of its player. The penalty is added in every n-th turn, with n
            times its weight (lazy regularization, Karras et al. 2020, arXiv:1912.04958, appendix B). The betas of Adam
            are not changed, because the penalty does not add steps.

    Raises:
        ValueError: for a negative weight or an interval below 1.
    """

    name: ClassVar[str]
    """Name under which the value of the penalty is logged."""
    player: ClassVar[Player]
    """Player whose cost the penalty is added to."""
    differentiates_real: ClassVar[bool] = False
    """Whether `turn.real` must require grad."""
    differentiates_fake: ClassVar[bool] = False
    """Whether `turn.fake` must require grad in the discriminator's turn."""

    every_n_turns: int = 1

    def __post_init__(self) -> None:
        if self.every_n_turns < 1:
            raise ValueError(f"{type(self).__name__}: every_n_turns={self.every_n_turns} must be at least 1")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"{type(self).__name__}: its weight {self.weight} must not be negative")
        self.is_asleep = False
        """Whether the penalty has not begun yet, so that its turns are not counted."""
        self._turns_seen = 0

    @property
    @abstractmethod
    def weight(self) -> float:
        """Factor that the value of `penalty` is multiplied by, at least 0."""

    @abstractmethod
    def penalty(self, turn: Turn) -> Scalar:
        """The unweighted penalty as a scalar, averaged over the batch."""

    def weighted(self, turn: Turn) -> Scalar:
        """The value that is added to the player's cost in a turn that is due: ``weight * every_n_turns * penalty``."""
        return self.weight * self.every_n_turns * self.penalty(turn)

    def is_due(self, player: Player) -> bool:
        """Count a turn of `player`, and return whether the penalty is added in it. The first turn is always due."""
        due = self.will_be_due(player, turns_ahead=0)
        if player == self.player and not self.is_asleep:
            self._turns_seen += 1
        return due

    def will_be_due(self, player: Player, *, turns_ahead: int) -> bool:
        """Whether the penalty is added in a turn of `player` to come, if it does not begin or end until then.

        Args:
            player: player whose turn it is.
            turns_ahead: number of this player's turns before that turn; 0 for the next one.
        """
        if player != self.player or self.is_asleep:
            return False
        return (self._turns_seen + turns_ahead) % self.every_n_turns == 0

    def after_step(self, strategy: Strategy) -> None:
        """Update the state of the penalty. The loop calls it after the step of every turn in which it was added.

        Update a running mean or a multiplier here and not in `penalty`, which is compiled into one graph. Store the
        detached value in `penalty`, and average it over ranks here: `strategy.reduce(value, reduce_op="mean")`.

        Args:
            strategy: strategy of the trainer.
        """

    def forget(self) -> None:
        """Delete what `penalty` has stored, because its value was not added to the cost."""

    def logged_name(self, callbacks: Sequence[Callback]) -> str:
        """The name under which the penalty is logged: its own, with a number if it is not the first of this name.

        Args:
            callbacks: callbacks of the trainer.
        """
        names = named([c for c in callbacks if isinstance(c, PenaltyTerm) and c.player == self.player])
        return next(name for name, penalty in names.items() if penalty is self)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"turns_seen": self._turns_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._turns_seen = state_dict["turns_seen"]


def named(penalties: Sequence[PenaltyTerm]) -> dict[str, PenaltyTerm]:
    """Penalties by their names. A second penalty of the same name gets a number: `name_2`.

    Args:
        penalties: all penalties of one player, also those that are not due, so that names do not change.
    """
    names: dict[str, PenaltyTerm] = {}
    for penalty in penalties:
        alike = sum(other.name == penalty.name for other in names.values())
        names[f"{penalty.name}_{alike + 1}" if alike else penalty.name] = penalty
    return names


def keep_states(callbacks: Sequence[Callback], checkpoint: dict[str, Any]) -> None:
    """Gives penalties whose weight or interval is another one now their states in a checkpoint.

    The keys of the states contain both settings, so that a trainer can have two penalties of one class. Penalties of
    one class and for the same networks are matched in their order.

    Args:
        callbacks: callbacks of the trainer that loads the checkpoint.
        checkpoint: the checkpoint, whose keys are changed.
    """
    states = checkpoint.get("callbacks", {})
    keys = {callback.state_key for callback in callbacks}
    for callback in callbacks:
        if isinstance(callback, PenaltyTerm) and callback.state_key not in states:
            place = _place(callback.state_key)
            former = next((key for key in states if key not in keys and _place(key) == place), None)
            if former is not None:
                states[callback.state_key] = states.pop(former)


def _place(state_key: str) -> tuple[str, dict[str, Any]]:
    """The class and the settings in a key, but for those that change the strength of a penalty."""
    settings = settings_of_state_key(state_key)
    strength = ("weight", "every_n_turns")
    return state_key.partition("{")[0], {name: settings[name] for name in settings if name not in strength}
