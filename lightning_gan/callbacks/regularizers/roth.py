"""The regularizer of Roth et al. 2017 (arXiv:1705.09367), which has the effect of noise on both distributions."""

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
)
from lightning_gan.penalties.gradient import one_per_sample
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class AnnealedNoisePenalty(CriticGradientPenalty):
    """The base class of penalties with the weight gamma / 2, where gamma can decrease during training.

    Args:
        gamma: variance of the noise whose effect the penalty has.
        annealing_kimg: thousands of images over which gamma decreases exponentially; None keeps gamma constant.
        final_factor: factor of gamma at the end of the decrease and after it, in (0, 1].
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.

    Raises:
        ValueError: for `annealing_kimg` below one image, or `final_factor` outside (0, 1].
    """

    gamma: float = 2.0
    annealing_kimg: float | None = None
    final_factor: float = 0.01
    mean_over_patches: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.annealing_kimg is not None:
            images_of_kimg("annealing_kimg", self.annealing_kimg)
        if not 0 < self.final_factor <= 1:
            raise ValueError(f"{type(self).__name__}: final_factor={self.final_factor} must be in (0, 1]")
        # A tensor, because a compiled turn would be compiled anew whenever a plain number changes.
        self._factor = torch.ones(())

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def factor_at(self, images_seen: int) -> float:
        """Returns the factor of gamma, in (0, 1], for the batch that starts after `images_seen` images."""
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
    """Adds ``gamma / 2 * (E_P[(1 - s(D))^2 ||dD/dx||^2] + E_Q[s(D)^2 ||dD/dx||^2])``, with the sigmoid s.

    It is for GANs whose discriminator returns logits D; P is the distribution of real images and Q that of generated
    ones. The authors' code uses it with `NonSaturating`. If all logits are 0, it is a quarter of `R1` plus `R2`.

    Args:
        gamma: variance of the noise whose effect the penalty has; the authors use 2 with annealing, else 0.1.
        annealing_kimg: thousands of images over which gamma decreases exponentially; None keeps gamma constant.
        final_factor: factor of gamma at the end of the decrease and after it, in (0, 1].
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for `annealing_kimg` below one image, or `final_factor` outside (0, 1].
    """

    name: ClassVar[str] = "roth"
    differentiates_real: ClassVar[bool] = True
    differentiates_fake: ClassVar[bool] = True

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        regularizer = jensen_shannon_regularizer(
            turn.real_logits, turn.real, turn.fake_logits, turn.fake, mean_over_patches=self.mean_over_patches
        )
        return regularizer * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class RothFGAN(AnnealedNoisePenalty):
    """Adds ``gamma / 2 * E_Q[f*''(T) ||dT/dx||^2]`` on generated images, for f-GANs of any divergence.

    f* is the conjugate of f, T the score. For the divergence of the original GAN, it equals `Roth` only if the
    discriminator is optimal.

    Args:
        divergence: f-divergence, the same as that of the `FGAN` objective.
        gamma: variance of the noise whose effect the penalty has.
        annealing_kimg: thousands of images over which gamma decreases exponentially; None keeps gamma constant.
        final_factor: factor of gamma at the end of the decrease and after it, in (0, 1].
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for `annealing_kimg` below one image, or `final_factor` outside (0, 1].
    """

    name: ClassVar[str] = "roth_f_gan"
    differentiates_fake: ClassVar[bool] = True

    divergence: Divergence

    def penalty(self, turn: Turn) -> Scalar:
        logit = one_per_sample(turn.fake_logits, mean_over_patches=self.mean_over_patches)
        # By the logit instead of the score, because there a factor that overflows may be multiplied by one that is 0.
        curvature = self.divergence.logit_curvature(logit)
        return f_gan_regularizer(curvature, logit, turn.fake) * turn.gradient_scale**2
