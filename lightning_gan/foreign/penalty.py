"""The base class of penalties, which are callbacks for any LightningModule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.added_penalty import PlacedPenalty
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.penalty_term import PenaltyTerm


@dataclass(kw_only=True, eq=False)
class Penalty(PenaltyTerm, ImageClock):
    """A regularizer: a pure function of a turn, with a weight and an interval. It never steps and never calls backward.

    A subclass is a keyword-only dataclass. It sets `player`, sets `differentiates_real` or `differentiates_fake` if the
    penalty differentiates with respect to images, defines `weight` (a field or a property), and computes the unweighted
    penalty in `penalty`. A penalty that changes during training reads `images_seen` in `on_train_batch_start`, after it
    has called `super()`.

    A `GAN` adds the penalty to its own cost. In every other LightningModule the calls of the networks are recorded.
    Before each step of the optimizer that updates the player's network, another forward pass computes the penalty, and
    its gradient is added. The last three arguments are only for such modules.

    Args:
        every_n_turns: Interval of the penalty, in turns of its player. The penalty is added in every n-th turn, with n
            times its weight (lazy regularization, arXiv:1912.04958, appendix B).
        discriminator: Attribute path of the discriminator in a module that is not a `GAN`.
        generator: Attribute path of the generator in a module that is not a `GAN`; None if the module has none.
        real: Function that takes the real images out of a batch, as the discriminator gets them, in a module that is
            not a `GAN`. None identifies them automatically among the inputs of the discriminator.

    Raises:
        ValueError: for a negative weight or an interval below 1. When fit starts, for networks that do not exist or
            that no optimizer updates. In the first turn, if real or fake images cannot be identified. When fit ends, if
            no optimizer step was seen.
    """

    discriminator: str = "discriminator"
    generator: str | None = "generator"
    real: Callable[[Any], Tensor] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.player == "generator" and self.generator is None:
            raise ValueError(f"{type(self).__name__}: generator=None, but it regularizes the generator; give its path")

    # ------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        host_of(pl_module).penalties.begin_fit(self._placed, trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        host_of(pl_module).penalties.begin_batch(self._placed, batch)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        host_of(pl_module).penalties.before_step(self._placed, trainer, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        host_of(pl_module).penalties.end_batch()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        host_of(pl_module).penalties.end_fit(self._placed)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        host_of(pl_module).penalties.release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        host_of(pl_module).penalties.release()

    @property
    def _placed(self) -> PlacedPenalty:
        return PlacedPenalty(term=self, discriminator=self.discriminator, generator=self.generator, real=self.real)

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        # A trainer may have two penalties of one class, for example for different networks, if their settings differ.
        return state_key_of(
            self,
            name=self.name,
            every_n_turns=self.every_n_turns,
            weight=self.weight,
            discriminator=self.discriminator,
            generator=self.generator,
        )
