"""Penalties on the gradient of the discriminator by its input: R1, R2, WGAN-GP and its variants, and DRAGAN."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.gradient import gradient_at, gradient_norm, zero_centered
from lightning_gan.penalties.interpolation import distance_to_target, excess_over_one, interpolated, noised
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


def warn_about_batch_norm(network: nn.Module, name: str) -> None:
    """Warns that batch normalization falsifies a penalty on the gradients of single samples.

    Args:
        network: discriminator that is searched for batch normalization layers in training mode.
        name: name of the penalty, for the message.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, BatchNorm)
    mixing = [path for path, module in network.named_modules() if isinstance(module, kinds) and module.training]
    if mixing:
        rank_zero_warn(
            f"{name}: the critic has batch normalization ({', '.join(mixing)}), so that its score of an image depends "
            "on the whole batch, and the gradient is not that of a single sample; it may even be 0. Use layer, group, "
            "instance or spectral normalization, or none"
        )


@dataclass(kw_only=True, eq=False)
class CriticGradientPenalty(Penalty):
    """The base class of penalties on the discriminator's gradient at single samples.

    It warns if the discriminator has batch normalization.

    Args:
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
    """

    player: ClassVar[Player] = "discriminator"

    mean_over_patches: bool = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        name = type(self).__name__
        for path in self.discriminators:
            warn_about_batch_norm(host_of(pl_module).network(path, setting=f"{name}(discriminator=...)"), name)


@dataclass(kw_only=True, eq=False)
class PenaltyOnShare(CriticGradientPenalty):
    """The base class of penalties ``gamma / 2 * E ||dD/dx||^2`` that may be computed on a part of the batch.

    Args:
        gamma: strength of the penalty, the papers' gamma.
        batch_share: share of the batch that the penalty is computed on, in (0, 1]; the mean is over this part.

    Raises:
        ValueError: for a share outside (0, 1].
    """

    gamma: float = 10.0
    batch_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.batch_share <= 1:
            raise ValueError(
                f"{type(self).__name__}: batch_share={self.batch_share} must be above 0 and at most 1; 1 is the whole "
                "batch, 0.25 a quarter"
            )

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def samples_of(self, batch_size: int) -> int:
        """Returns how many samples, the first of the batch, the penalty is computed on: at least one."""
        return math.ceil(self.batch_share * batch_size)

    def scores_of(self, images: Images, score: Callable[[Images], Logits]) -> Logits:
        """Returns the logits of a part of the batch, and checks that they are of these images alone.

        Args:
            images: first images of the batch, as many as `samples_of` returns.
            score: function that returns the logits of images.

        Raises:
            ValueError: if a module's discriminator has other arguments that keep the size of the whole batch.
        """
        logits = score(images)
        if self.batch_share < 1 and len(logits) != len(images):
            raise ValueError(
                f"{type(self).__name__}: batch_share={self.batch_share} is {len(images)} images, but the discriminator "
                f"returned {len(logits)} scores, because its other arguments are those of the whole batch; set it to 1"
            )
        return logits

    def squared_slope(self, logits: Logits, images: Images, turn: Turn) -> Scalar:
        """Returns ``E ||dD/dx||^2`` of images from which the logits were computed, in the turn's scale."""
        return zero_centered(logits, images, mean_over_patches=self.mean_over_patches) * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class R1(PenaltyOnShare):
    """Adds ``gamma / 2 * E ||dD/dx||^2`` on real images (eq. 9 of Mescheder et al. 2018, arXiv:1801.04406).

    The authors' code has no factor 1/2, so that its gamma of 10 is 20 here.

    Args:
        gamma: strength of the penalty, the papers' gamma; 0.0002 * resolution^2 / batch size is a good first value
            (Karras et al. 2020, arXiv:2006.06676).
        batch_share: share of the batch that the penalty is computed on, in (0, 1]. Below 1, another forward pass of
            the first ``ceil(batch_share * batch size)`` images of each rank and slice is computed, and only this is
            differentiated twice.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight;
            16 is usual, with the same gamma.

    Raises:
        ValueError: for a share outside (0, 1].
    """

    name: ClassVar[str] = "r1"
    differentiates_real: ClassVar[bool] = True

    def penalty(self, turn: Turn) -> Scalar:
        if self.batch_share < 1:
            images = turn.real[: self.samples_of(len(turn.real))]
            return self.squared_slope(self.scores_of(images, turn.score_reals), images, turn)
        assert turn.real_logits is not None
        return self.squared_slope(turn.real_logits, turn.real, turn)


@dataclass(kw_only=True, eq=False)
class R2(PenaltyOnShare):
    """Adds ``gamma / 2 * E ||dD/dx||^2`` on generated images (eq. 10 of Mescheder et al. 2018, arXiv:1801.04406).

    The generator gets no gradient from it.

    Args:
        gamma: strength of the penalty, the paper's gamma.
        batch_share: share of the batch that the penalty is computed on, in (0, 1]. Below 1, another forward pass of
            the first ``ceil(batch_share * batch size)`` fakes of each rank and slice is computed, and only this is
            differentiated twice.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a share outside (0, 1].
    """

    name: ClassVar[str] = "r2"
    differentiates_fake: ClassVar[bool] = True

    def penalty(self, turn: Turn) -> Scalar:
        if self.batch_share < 1:
            images = turn.fake[: self.samples_of(len(turn.fake))]
            return self.squared_slope(self.scores_of(images, turn.score_fakes), images, turn)
        return self.squared_slope(turn.fake_logits, turn.fake, turn)


@dataclass(kw_only=True, eq=False)
class PenaltyAtPoints(CriticGradientPenalty):
    """The base class of penalties on the norm of the discriminator's gradient at other points than the batch's images.

    The discriminator scores the points with the labels of the real images. A subclass defines `points` and `price`.

    Args:
        weight: factor of the penalty in the discriminator's cost.
    """

    # The points are computed from the real images, which lets one compiled graph differentiate by them.
    differentiates_real: ClassVar[bool] = True

    weight: float = 10.0

    @abstractmethod
    def points(self, turn: Turn) -> Images:
        """Returns the points, one per real image, `batch channels height width`."""

    @abstractmethod
    def price(self, norms: PerSample) -> PerSample:
        """Returns the penalty of each sample from the norm of its gradient."""

    def penalty(self, turn: Turn) -> Scalar:
        gradient = gradient_at(turn.score_reals, self.points(turn), mean_over_patches=self.mean_over_patches)
        return self.price(gradient_norm(gradient) * turn.gradient_scale).mean()


@dataclass(kw_only=True, eq=False)
class PenaltyBetween(PenaltyAtPoints):
    """The base class of penalties at random points on the lines from real to generated images.

    Args:
        weight: factor of the penalty in the discriminator's cost.
        between: range of the points, from 0, the real image, to 1, the generated image.

    Raises:
        ValueError: if `between` is not in growing order.
    """

    between: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        nearest, farthest = self.between
        if nearest > farthest:
            raise ValueError(
                f"{type(self).__name__}: between={self.between} must be two numbers in growing order, usually 0, 1"
            )

    def points(self, turn: Turn) -> Images:
        return interpolated(turn.real, turn.fake, between=self.between)


@dataclass(kw_only=True, eq=False)
class GradientPenalty(PenaltyBetween):
    """Adds WGAN-GP's penalty, ``weight * E (||dD/dx|| / target - 1)^2``, between real and generated images.

    Gulrajani et al. 2017 (arXiv:1704.00028) use it with `Wasserstein`, five turns of the critic for one turn of the
    generator, and no batch normalization in the critic. PGGAN (Karras et al. 2018, arXiv:1710.10196, appendix A.1) adds
    `Drift` and uses one turn each.

    Args:
        weight: factor of the penalty, the paper's lambda.
        target: norm of the gradient at which the penalty is 0, above 0; PGGAN's code uses 750 for CIFAR-10.
        between: range of the points, from 0, the real image, to 1, the generated image.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a target that is not positive, and if `between` is not in growing order.
    """

    name: ClassVar[str] = "wgan_gp"

    target: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target <= 0:
            raise ValueError(
                f"GradientPenalty: target={self.target} must be positive; for a target of 0, use "
                "ZeroCenteredGradientPenalty"
            )

    def price(self, norms: PerSample) -> PerSample:
        return distance_to_target(norms, target=self.target)


@dataclass(kw_only=True, eq=False)
class LipschitzPenalty(PenaltyBetween):
    """Adds WGAN-LP's penalty, ``weight * E max(0, ||dD/dx|| - 1)^2``, between real and generated images.

    Petzka et al. 2018, arXiv:1709.08894.

    Args:
        weight: factor of the penalty, the paper's lambda.
        between: range of the points, from 0, the real image, to 1, the generated image.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: if `between` is not in growing order.
    """

    name: ClassVar[str] = "wgan_lp"

    def price(self, norms: PerSample) -> PerSample:
        return excess_over_one(norms)


@dataclass(kw_only=True, eq=False)
class ZeroCenteredGradientPenalty(PenaltyBetween):
    """Adds 0-GP's penalty, ``weight * E ||dD/dx||^2``, between real and generated images.

    Thanh-Tung et al. 2019, arXiv:1902.03984. It suits any objective. With between=(0, 0), at the real images only, it
    is `R1` with gamma = 2 * weight.

    The gradient is that of the logit D. With the logistic objective, the authors' discriminator ends in a sigmoid, so
    that their code penalizes the gradient of the probability, which is at most a quarter of this one. Their weights,
    10 for mixtures of Gaussians and 500 for stacked MNIST by default, are therefore not weights for this penalty.

    Args:
        weight: factor of the penalty, the paper's lambda.
        between: range of the points, from 0, the real image, to 1, the generated image.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: if `between` is not in growing order.
    """

    name: ClassVar[str] = "zero_gp"

    def price(self, norms: PerSample) -> PerSample:
        return norms.square()


@dataclass(kw_only=True, eq=False)
class DivergencePenalty(PenaltyBetween):
    """Adds WGAN-div's penalty, ``weight * E ||dD/dx||^power``, between real and generated images.

    Wu et al. 2018, arXiv:1712.01026, with `Wasserstein`. No Lipschitz bound is needed: with this term, the objective is
    a divergence. It is computed in fp32 or a wider precision.

    Args:
        weight: factor of the penalty, the paper's k.
        power: exponent of the norm, the paper's p, above 1.
        between: range of the points, from 0, the real image, to 1, the generated image; it has little effect according
            to the paper.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a power of 1 or less, and if `between` is not in growing order.
    """

    name: ClassVar[str] = "wgan_div"

    weight: float = 2.0
    power: float = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 1:
            raise ValueError(f"DivergencePenalty: power={self.power} must be above 1; the paper's is 6")

    def price(self, norms: PerSample) -> PerSample:
        return norms.pow(self.power)


@dataclass(kw_only=True, eq=False)
class DRAGAN(PenaltyAtPoints):
    """Adds ``weight * E (||dD/dx|| - 1)^2`` around real images (Kodali et al. 2017, arXiv:1705.07215).

    The paper uses it with `NonSaturating`. The noise is scaled by the standard deviation of the batch, over all
    processes; in a compiled turn, and in modules that are no `GAN`, each process has its own.

    Args:
        weight: factor of the penalty, the paper's lambda.
        noise: largest noise per pixel, in standard deviations of the batch; not negative.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for negative noise.
    """

    name: ClassVar[str] = "dragan"

    noise: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise < 0:
            raise ValueError(f"DRAGAN: noise={self.noise} must not be negative; the authors use 0.5")

    def points(self, turn: Turn) -> Images:
        return noised(turn.real, noise=self.noise)

    def price(self, norms: PerSample) -> PerSample:
        return distance_to_target(norms, target=1.0)


@dataclass(kw_only=True, eq=False)
class Drift(Penalty):
    """Adds ``weight * E D(x)^2`` on real images, which keeps the scores of a Wasserstein critic near 0.

    PGGAN (Karras et al. 2018, arXiv:1710.10196, appendix A.1).

    Args:
        weight: factor of the penalty, the paper's epsilon_drift.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.
    """

    name: ClassVar[str] = "drift"
    player: ClassVar[Player] = "discriminator"

    weight: float = 0.001

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        return turn.real_logits.square().mean()
