"""What models and callbacks know of each other: a player's turn, a penalty on it, and networks that grow."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import Strategy

from lightning_gan.shapes import Images, Labels, Latents, Logits, Scalar

Player: TypeAlias = Literal["discriminator", "generator"]
"""The two sides of the game; a turn is one side's move."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Everything that one look of a player brought to light, for the loss and the penalties.

    Attributes:
        player: whose move it is.
        real: images of the data set, `batch channels height width`, in [-1, 1].
        labels: the real images' labels, None without classes.
        latents: the generator's inputs.
        fake: the generator's images; without gradient to the generator in the discriminator's turn.
        fake_labels: the labels the fakes were made for, None without classes.
        real_logits: scores of the real images; None in the generator's turn unless the loss asks for them.
        fake_logits: scores of the fakes.
        critic: scores other images again: `critic(images, labels)`.
        generator: makes other images: `generator(latents, labels)`.
        gradient_scale: what turns a gradient by these images into the gradient by the full-size image. 1, except while
            a network grows: the authors' critics are fed images upscaled by `f` per side, and the gradient by an
            upscaled image is 1/f of the gradient by the small one (in the norm).
    """

    player: Player
    real: Images
    labels: Labels | None
    latents: Latents
    fake: Images
    fake_labels: Labels | None
    real_logits: Logits | None
    fake_logits: Logits
    critic: Callable[[Images, Labels | None], Logits]
    generator: Callable[[Latents, Labels | None], Images]
    gradient_scale: float = 1.0


@dataclass(kw_only=True, eq=False)
class Penalty(Callback):
    """A regularizer: a pure function of a turn, a weight and an interval. It never steps and never calls backward.

    A subclass is a keyword-only dataclass that names its `player`, says which inputs have to be differentiable, gives
    its `weight` (a field or a property) and computes the unweighted number in `penalty`.

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

    def after_step(self, strategy: Strategy) -> None:  # noqa: B027  (most penalties measure nothing)
        """Called after the step of every turn that the penalty joined, to update state from what `penalty` measured.

        A running mean or a multiplier belongs here and not into `penalty`, which is traced into one graph: there,
        keep the detached measurement; here, average it over ranks (`strategy.reduce(value, reduce_op="mean")`).
        """

    @property
    def state_key(self) -> str:
        # Two penalties of one class may work side by side (on other networks, say), if their settings differ.
        return self._generate_state_key(name=self.name, every_n_turns=self.every_n_turns, weight=self.weight)

    def state_dict(self) -> dict[str, Any]:
        return {"turns_seen": self._turns_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._turns_seen = state_dict["turns_seen"]


class AveragesGenerator(Callback):
    """A callback that moves `GAN.generator_ema`; without one in the trainer, the generator itself is sampled."""


@runtime_checkable
class Growable(Protocol):
    """A network whose resolution can be set while it trains."""

    def grow(self, resolution: int, fade_in: float) -> None:
        """Emit or take images of `resolution`; its newest blocks count with weight `fade_in` in (0, 1], 1 = stable."""
