"""The base class of augmentations whose probability follows the discriminator's overfitting: ADA and APA.

Karras et al. 2020, arXiv:2006.06676, section 3; Jiang et al. 2021, arXiv:2111.06849.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_gan.augmentations import adapted, mean_sign
from lightning_gan.callbacks.regularizers.running_penalty import RunningPenalty
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class AdaptiveProbability(RunningPenalty):
    """A penalty that is 0, which reads scores, and moves the probability p of an augmentation every few batches.

    A subclass measures the overfitting in `overfitting`, puts its augmentation into the module in `place` and takes it
    away in `remove`, gives it p in `use_probability`, and names what is wrong when p is too high in `problem_of`.
    """

    player: ClassVar[Player] = "discriminator"
    state_names: ClassVar[tuple[str, ...]] = ("p", "r_t", "sum_of_signs", "turns")

    target: float = 0.6
    adaptation_kimg: float = 500.0
    interval: int = 4
    initial_probability: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not -1 < self.target < 1:
            raise ValueError(f"{name}: target={self.target} must be between -1 and 1; the authors use 0.6")
        if not 0 < self.adaptation_kimg < math.inf:
            raise ValueError(f"{name}: adaptation_kimg={self.adaptation_kimg} must be positive and finite")
        if self.interval < 1:
            raise ValueError(f"{name}: interval={self.interval} must be at least 1 batch")
        if not 0 <= self.initial_probability <= 1:
            raise ValueError(f"{name}: initial_probability={self.initial_probability} must be between 0 and 1")
        if self.weight_schedule is not None:
            raise ValueError(
                f"{name}: weight_schedule has no effect, because p follows the scores; leave it out, or use "
                "Augmentation(probability=..., schedule=...)"
            )
        self.state[0] = self.initial_probability
        self._neutral_score = 0.0
        self._batches, self._images_since = 0, 0  # since the last step of p
        self._has_warned = False

    @abstractmethod
    def overfitting(self, turn: Turn) -> Scalar:
        """The heuristic of overfitting of one turn, in [-1, 1], made of `signs_of` scores."""

    @abstractmethod
    def check_place(self, pl_module: LightningModule) -> None:
        """Check when fit starts that the augmentation can be placed, and refuse with a ValueError."""

    @abstractmethod
    def place(self, pl_module: LightningModule) -> None:
        """Augment from now on. It is called when training starts."""

    @abstractmethod
    def remove(self) -> None:
        """Do not augment any more. A second call does nothing."""

    @abstractmethod
    def use_probability(self, probability: Tensor) -> None:
        """Augment with this probability from the next batch on. It must not wait for the device."""

    @abstractmethod
    def problem_of(self, probability: float) -> str | None:
        """What is wrong with such a high probability, and what lowers it; None if it is not too high."""

    @property
    def weight(self) -> float:
        return 1.0

    def signs_of(self, logits: Tensor | None) -> Scalar:
        """The mean sign of scores, as differences from the loss's neutral score."""
        assert logits is not None
        return mean_sign(logits, neutral_score=self._neutral_score)

    def penalty(self, turn: Turn) -> Scalar:
        measured = self.overfitting(turn)
        self.measure(torch.zeros_like(measured), torch.zeros_like(measured), measured, torch.ones_like(measured))
        assert turn.real_logits is not None
        return 0.0 * full_precision(turn.real_logits).mean()

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        return state + measured

    def adapt(self, images: int) -> None:
        """Moves p by one step, and begins to read scores anew. Without scores p stays.

        Args:
            images: number of images since the last step, over all ranks.
        """
        p, overfitting, signs, turns = self.state.unbind()
        latest = signs / turns.clamp(min=1)
        moved = adapted(p, latest, target=self.target, step=images / (1000 * self.adaptation_kimg))
        p, overfitting = torch.where(turns > 0, torch.stack([moved, latest]), torch.stack([p, overfitting]))
        self.state = torch.stack([p, overfitting, torch.zeros_like(p), torch.zeros_like(p)])

    # ------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self.check_place(pl_module)
        neutral = host_of(pl_module).neutral_score
        if neutral is None:
            raise ValueError(
                f"{type(self).__name__}: the loss has no score that lies between real images and fakes, so that the "
                "sign of a score tells nothing; leave it out and give the probability yourself: "
                "Augmentation(probability=0.3), or --trainer.callbacks+=Augmentation --Augmentation.probability 0.3"
            )
        self._neutral_score = neutral

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.place(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.use_probability(self.state[0])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.log_every_n_steps == 0 and not self._has_warned:  # type: ignore[attr-defined]
            problem = self.problem_of(float(self.state[0]))  # waits for the device, as the loggers do
            if problem is not None:
                self._has_warned = True
                rank_zero_warn(f"{type(self).__name__}: {problem}")
        self._batches += 1
        self._images_since += self.images_seen - self.images_before
        if self._batches >= self.interval:
            self.adapt(self._images_since)
            self._batches, self._images_since = 0, 0

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self.remove()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self.remove()

    def logged_state(self, trainer: Trainer) -> dict[str, Tensor]:
        return {f"{self.name}/p": self.state[0], f"{self.name}/r_t": self.state[1]}

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"batches": self._batches, "images": self._images_since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._batches, self._images_since = state_dict["batches"], state_dict["images"]
