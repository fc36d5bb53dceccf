"""The base class of penalties, which are callbacks for any LightningModule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.added_penalty import PlacedPenalty
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.inputs import InputSettings
from lightning_gan.loop.penalty_term import PenaltyTerm, keep_states
from lightning_gan.loop.turn import Turn
from lightning_gan.schedules.rates import LearningRateSchedule
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class Penalty(PenaltyTerm, ImageClock):
    """A regularizer: a pure function of a turn, with a weight and an interval. It never steps and never calls backward.

    A subclass is a keyword-only dataclass. It sets `player`, sets `differentiates_real` or `differentiates_fake` if the
    penalty differentiates with respect to images, defines `weight` (a field or a property), and computes the unweighted
    penalty in `penalty`. A penalty that changes during training reads `images_seen` in `on_train_batch_start`, after it
    has called `super()`.

    A `GAN` adds the penalty to its own cost. In every other LightningModule the calls of the networks are recorded.
    Before each step of the optimizer that updates the player's network, another forward pass computes the penalty, and
    its gradient is added. The arguments from `discriminator` on are only for such modules; docs/foreign_modules.md
    shows which of them a discriminator needs.

    Args:
        every_n_turns: Interval of the penalty, in turns of its player. The penalty is added in every n-th turn, with n
            times its weight (lazy regularization, arXiv:1912.04958, appendix B).
        start_kimg: Thousands of images after which the penalty begins.
        start_step: Number of steps (`trainer.global_step`) after which the penalty begins. Until then, a discriminator
            whose loss is multiplied by 0 is not regularized either.
        weight_schedule: Factor that the weight is multiplied by, as a function of images seen, for instance
            `CosineDecay(end_kimg=10000, final_factor=0.1)`; None keeps the weight. The present weight is then logged
            under the name of the penalty, with `_weight` behind it.
        discriminator: Attribute path of the discriminator in a module that is not a `GAN`, or a list of the paths of
            several ones; the penalty is then the sum over them.
        generator: Attribute path of the generator in a module that is not a `GAN`; None if the module has none.
        scores: Function that takes the scores, `batch ...`, out of the discriminator's output, if it returns more than
            one tensor; `lightning_gan.foreign.scores` has functions for usual outputs.
        image: Name of the discriminator's argument that the penalty takes for images, such as "image", "1" or
            "images.high" for an entry of a dictionary. None identifies it.
        real: Function that takes the real images out of a batch, as the discriminator gets them; or the number of the
            discriminator's call on real images in its turn, from 0; or a list of numbers. None identifies the images.
        fake: The same for the fakes: a function is for fakes that are part of the batch.
        mean_over_calls: If there are several real or fake inputs in one turn (parts of a batch, frames, domains), the
            penalty is the mean over them, or over pairs of them. False refuses them.
        latents: Name of the generator's argument that are the latents, for penalties on latents. None identifies it.

    Raises:
        ValueError: for a negative weight, an interval below 1 or a negative start. When fit starts, for networks that
            do not exist or that not exactly one optimizer updates. In the first turn, if images, scores or latents
            cannot be identified, or were changed in place. After a batch, if an optimizer was stepped without
            Lightning.
    """

    start_kimg: float = 0.0
    start_step: int = 0
    weight_schedule: LearningRateSchedule | None = None
    discriminator: str | list[str] = "discriminator"
    generator: str | None = "generator"
    scores: Callable[[Any], Tensor] | None = None
    image: str | None = None
    real: Callable[[Any], Tensor] | int | list[int] | None = None
    fake: Callable[[Any], Tensor] | int | list[int] | None = None
    mean_over_calls: bool = False
    latents: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if self.player == "generator" and self.generator is None:
            raise ValueError(f"{name}: generator=None, but it regularizes the generator; give its path")
        if self.start_kimg < 0 or self.start_step < 0:
            raise ValueError(
                f"{name}: start_kimg={self.start_kimg} and start_step={self.start_step} must not be negative"
            )
        if not self.discriminators:
            raise ValueError(f"{name}: discriminator=[] names no network; give the path of at least one")
        # A tensor, because a compiled turn would be compiled anew whenever a plain number changes.
        self._weight_factor = torch.ones(())

    @property
    def discriminators(self) -> tuple[str, ...]:
        """Attribute paths of the discriminators."""
        return (self.discriminator,) if isinstance(self.discriminator, str) else tuple(self.discriminator)

    @property
    def only_discriminator(self) -> str:
        """Attribute path of the discriminator, for penalties that keep numbers or hooks of one network.

        Raises:
            ValueError: if there are several.
        """
        if len(self.discriminators) > 1:
            raise ValueError(
                f"{type(self).__name__}: discriminator={self.discriminator} names several networks, but it works with "
                "one; use one callback for each"
            )
        return self.discriminators[0]

    @property
    def only_path(self) -> str:
        """Attribute path of the network that it regularizes, for penalties that keep numbers or hooks of one network.

        Raises:
            ValueError: if there are several.
        """
        if self.player == "discriminator":
            return self.only_discriminator
        assert self.generator is not None
        return self.generator

    def sleeps_at(self, images_seen: int, steps: int) -> bool:
        """Whether the penalty has not begun yet.

        Args:
            images_seen: number of images that training has used, over all ranks.
            steps: value of `trainer.global_step`.
        """
        return images_seen < 1000 * self.start_kimg or steps < self.start_step

    def weighted(self, turn: Turn) -> Scalar:
        value = super().weighted(turn)
        return value if self.weight_schedule is None else value * self._weight_factor

    # ------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._weight_factor = self._weight_factor.to(pl_module.device)
        host_of(pl_module).penalties.begin_fit(self._placed, trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if self.weight_schedule is not None:
            self._weight_factor.fill_(self.weight_schedule.at(self.images_seen))
        self._wake(trainer)
        host_of(pl_module).penalties.begin_batch(self._placed, batch)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._wake(trainer)  # again, because optimizers that stepped since have increased the global step
        host_of(pl_module).penalties.before_step(self._placed, trainer, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        host_of(pl_module).penalties.end_batch(self._placed, trainer, batch_index=batch_idx)
        logs = (batch_idx + 1) % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if logs and self.weight_schedule is not None:
            title = f"{self.player}/{self.logged_name(trainer.callbacks)}_weight"  # type: ignore[attr-defined]
            pl_module.log(title, self.weight * self.weight_schedule.at(self.images_before))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        host_of(pl_module).penalties.end_fit(self._placed)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        host_of(pl_module).penalties.release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        host_of(pl_module).penalties.release()

    def _wake(self, trainer: Trainer) -> None:
        if self.start_kimg or self.start_step:
            self.is_asleep = self.sleeps_at(self.images_seen if self.start_kimg else 0, trainer.global_step)

    @property
    def _placed(self) -> PlacedPenalty:
        return PlacedPenalty(
            term=self,
            discriminators=self.discriminators,
            generator=self.generator,
            scores=self.scores,
            latents=self.latents,
            inputs=InputSettings(
                image=self.image, real=self.real, fake=self.fake, mean_over_calls=self.mean_over_calls
            ),
            begins_later=self.start_kimg > 0 or self.start_step > 0,
        )

    # ------------------------------------------------------------------ state

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        keep_states(trainer.callbacks, checkpoint)  # type: ignore[attr-defined]

    @property
    def state_key(self) -> str:
        # A trainer may have two penalties of one class, for example for different networks, if their settings differ.
        image = {} if self.image is None else {"image": self.image}
        return state_key_of(
            self,
            name=self.name,
            every_n_turns=self.every_n_turns,
            weight=self.weight,
            discriminator=self.discriminator,
            generator=self.generator,
            **image,
        )
