"""The regularizer of Roth et al. 2017 (arXiv:1705.09367): noise on both distributions, without the noise."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.regularizers.gradient_penalty import CriticGradientPenalty
from lightning_gan.foreign.clock import images_of_kimg
from lightning_gan.loop.turn import Turn
from lightning_gan.losses.divergences import Divergence
from lightning_gan.penalties.f_gan_regularizer import (
    annealing_at,
    f_gan_regularizer,
    jensen_shannon_regularizer,
    one_per_sample,
)
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class AnnealedNoisePenalty(CriticGradientPenalty):
    """A penalty of weight gamma / 2 whose gamma, the variance of the noise it stands for, can fall in training."""

    gamma: float = 2.0
    annealing_kimg: float | None = None
    final_factor: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.annealing_kimg is not None:
            images_of_kimg("annealing_kimg", self.annealing_kimg)
        if not 0 < self.final_factor <= 1:
            raise ValueError(f"{type(self).__name__}: final_factor={self.final_factor} must be in (0, 1]")
        # A tensor, because a number that changes would be compiled anew whenever it does.
        self._factor = torch.ones(())

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def factor_at(self, images_seen: int) -> float:
        """What gamma is multiplied by after so many images."""
        if self.annealing_kimg is None:
            return 1.0
        images = images_of_kimg("annealing_kimg", self.annealing_kimg)
        return annealing_at(images_seen, annealing_images=images, final_factor=self.final_factor)

    def weighted(self, turn: Turn) -> Scalar:
        return self._factor * super().weighted(turn)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._factor = self._factor.to(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._factor.fill_(self.factor_at(self.images_seen))


@dataclass(kw_only=True, eq=False)
class Roth(AnnealedNoisePenalty):
    """``gamma / 2 * (E_P[(1 - s(D))^2 ||dD/dx||^2] + E_Q[s(D)^2 ||dD/dx||^2])`` for GANs on logits, sigmoid s.

    As in the authors' code, with `NonSaturating`. Where all logits are 0 it is a quarter of R1 + R2.

    Args:
        gamma: variance of the noise; the authors take 2 with annealing, else 0.1.
        annealing_kimg: thousands of images over which gamma falls exponentially; None keeps it.
        final_factor: what is left of gamma then.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for annealing over less than one image, or to a factor outside (0, 1].
    """

    name: ClassVar[str] = "roth"
    differentiates_real: ClassVar[bool] = True
    differentiates_fake: ClassVar[bool] = True

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        regularizer = jensen_shannon_regularizer(turn.real_logits, turn.real, turn.fake_logits, turn.fake)
        return regularizer * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class RothFGAN(AnnealedNoisePenalty):
    """``gamma / 2 * E_Q[f*''(T) ||dT/dx||^2]`` for f-GANs of any divergence, on fakes.

    For the original GAN's divergence it agrees with `Roth` at the optimal critic alone.

    Args:
        divergence: the one of the `FGAN` objective.
        gamma: variance of the noise.
        annealing_kimg: thousands of images over which gamma falls exponentially; None keeps it.
        final_factor: what is left of gamma then.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for annealing over less than one image, or to a factor outside (0, 1].
    """

    name: ClassVar[str] = "roth_f_gan"
    differentiates_fake: ClassVar[bool] = True

    divergence: Divergence

    def penalty(self, turn: Turn) -> Scalar:
        logit = one_per_sample(turn.fake_logits)
        # By the logit instead of the score, so that factors which overflow do not meet factors that vanish.
        curvature = self.divergence.logit_curvature(logit)
        return f_gan_regularizer(curvature, logit, turn.fake) * turn.gradient_scale**2
