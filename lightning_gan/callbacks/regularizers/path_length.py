"""Path length regularization of style-based generators (Karras et al. 2020, arXiv:1912.04958, section 3.2)."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from einops import repeat
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.regularizers.late_networks import network_in_setup
from lightning_gan.callbacks.regularizers.running_penalty import RunningPenalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.path_jacobian import deviation_from_mean, image_noise, path_lengths
from lightning_gan.tensors.shapes import Labels, Scalar


@runtime_checkable
class LayeredSynthesis(Protocol):
    """A synthesis network that knows how many of its layers take a style."""

    @property
    def active_layers(self) -> int:
        """The number of layers that take a style at the active resolution."""


@dataclass(kw_only=True, eq=False)
class PathLength(RunningPenalty):
    """Adds ``weight * E (||J'y|| - a)^2`` (eq. 4) to the generator's cost.

    J is the Jacobian of the image by the styles, y a random direction, `a` the running mean of ``||J'y||``. The
    penalty generates images of its own from a part of the turn's latents, without style mixing. Unlike in the authors'
    code, the running mean is the same on all ranks and is saved.

    The networks are called as `mapping(latents)`, or `mapping(latents, labels)` with classes, and as
    `synthesis(styles)` with one style per layer, `batch layers style`. If the mapping network returns one style for all
    layers, `batch style`, the synthesis network must have `active_layers`. It may return other outputs than images,
    `batch channels *positions`: a path length is defined for every differentiable output, also for a vector.

    Args:
        mapping: attribute path of the mapping network.
        synthesis: attribute path of the synthesis network.
        weight: factor of the penalty, the paper's gamma_pl; 2 in the authors' code.
        decay: share of the new lengths in the running mean after each turn, in (0, 1].
        batch_shrink: number that the batch size is divided by for this penalty, to save memory; at least 1.
        every_n_turns: interval, in turns of the generator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for settings out of range, unknown networks, or one style for all layers and a synthesis network
            without `active_layers`.
    """

    name: ClassVar[str] = "path_length"
    player: ClassVar[Player] = "generator"
    state_names: ClassVar[tuple[str, ...]] = ("mean",)

    mapping: str = "generator.mapping"
    synthesis: str = "generator.synthesis"
    weight: float = 2.0
    decay: float = 0.01
    batch_shrink: int = 2
    every_n_turns: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.decay <= 1.0:
            raise ValueError(f"PathLength: decay={self.decay} must be above 0 and at most 1")
        if self.batch_shrink < 1:
            raise ValueError(f"PathLength: batch_shrink={self.batch_shrink} must be at least 1")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._mapping = network_in_setup(trainer, pl_module, self.mapping, setting="PathLength(mapping=...)")
        self._synthesis = network_in_setup(trainer, pl_module, self.synthesis, setting="PathLength(synthesis=...)")

    def penalty(self, turn: Turn) -> Scalar:
        count = max(len(turn.latents) // self.batch_shrink, 1)
        every = slice(None, count * self.batch_shrink, self.batch_shrink)  # the same ones on any number of processes
        styles = self._styles(turn.latents[every], None if turn.fake_labels is None else turn.fake_labels[every])
        images = self._synthesis(styles)
        lengths = path_lengths(images, styles, image_noise(images))
        penalty, mean = deviation_from_mean(lengths, self.state[0], decay=self.decay)
        self.measure(mean)
        return penalty

    def _styles(self, latents: Tensor, labels: Labels | None) -> Tensor:
        """The styles of the latents, `batch layers style`, with the graph of the mapping network."""
        styles: Tensor = self._mapping(latents) if labels is None else self._mapping(latents, labels)
        if styles.dim() == 3:
            return styles
        if not isinstance(self._synthesis, LayeredSynthesis):
            raise ValueError(
                f"PathLength: mapping={self.mapping!r} returns one style for all layers, but "
                f"synthesis={self.synthesis!r} has no active_layers, the number of layers; add it, or let the mapping "
                "repeat its style"
            )
        return repeat(styles, "batch style -> batch layers style", layers=self._synthesis.active_layers)

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        return measured  # each slice and rank has measured a new running mean; this is the average of them all
