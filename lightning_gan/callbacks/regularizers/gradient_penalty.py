"""Penalties on the critic's gradient: R1 and R2, WGAN-GP and its relatives, DRAGAN, and what belongs to them."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.gradient import gradient_at, gradient_norm, squared_slope_along, zero_centered
from lightning_gan.penalties.interpolation import distance_to_target, excess_over_one, interpolated, noised
from lightning_gan.tensors.shapes import Images, PerSample, Scalar


def warn_about_batch_norm(network: nn.Module, name: str) -> None:
    """Say that a penalty on single samples' gradients misreads a critic in which samples meet.

    Args:
        network: the critic.
        name: the penalty, for the message.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, BatchNorm)
    meeting = [path for path, module in network.named_modules() if isinstance(module, kinds) and module.training]
    if meeting:
        rank_zero_warn(
            f"{name}: the critic has batch normalization ({', '.join(meeting)}), so that its score of an image depends "
            "on the whole batch, and the gradient is not one sample's own; it may even vanish. Use layer, group, "
            "instance or spectral normalization, or none"
        )


@dataclass(kw_only=True, eq=False)
class CriticGradientPenalty(Penalty):
    """Any penalty on the gradient that the critic has at single samples; it warns of critics with batch norm."""

    player: ClassVar[Player] = "discriminator"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        name = type(self).__name__
        critic = host_of(pl_module).network(self.discriminator, setting=f"{name}(discriminator=...)")
        warn_about_batch_norm(critic, name)


@dataclass(kw_only=True, eq=False)
class R1(CriticGradientPenalty):
    """``gamma / 2 * E ||dD/dx||^2`` on real images (eq. 9 of Mescheder et al. 2018, arXiv:1801.04406).

    The authors' code has no 1/2, so its 10 is 20 here.

    Args:
        gamma: the papers' gamma; around 0.0002 * resolution^2 / batch size is a start
            (Karras et al. 2020, arXiv:2006.06676).
        every_n_turns: interval in the discriminator's turns; 16 is usual, with the same gamma.
    """

    name: ClassVar[str] = "r1"
    differentiates_real: ClassVar[bool] = True

    gamma: float = 10.0

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        return zero_centered(turn.real_logits, turn.real) * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class R2(CriticGradientPenalty):
    """``gamma / 2 * E ||dD/dx||^2`` on fakes (eq. 10 of arXiv:1801.04406); the generator feels nothing of it.

    Args:
        gamma: the papers' gamma.
        every_n_turns: interval in the discriminator's turns.
    """

    name: ClassVar[str] = "r2"
    differentiates_fake: ClassVar[bool] = True

    gamma: float = 10.0

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def penalty(self, turn: Turn) -> Scalar:
        return zero_centered(turn.fake_logits, turn.fake) * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class FiniteDifferenceR1(CriticGradientPenalty):
    """R1 from one more look at slightly moved real images, for critics that cannot be differentiated twice.

    An unbiased but noisy estimate of R1 up to the critic's curvature (Lin et al. 2025, arXiv:2501.08316; their weight
    is ``gamma / 2 / step^2``). It needs a critic without dropout, whose two looks differ by more than the step, and in
    bf16 a larger step, because the difference of two scores loses their common digits.

    Args:
        gamma: as for R1.
        step: standard deviation of the move per pixel, for images in [-1, 1].
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for a step that is not positive.
    """

    name: ClassVar[str] = "finite_difference_r1"

    gamma: float = 10.0
    step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step <= 0:
            raise ValueError(f"FiniteDifferenceR1: step={self.step} must be positive; 0.01 suits images in [-1, 1]")

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        real = turn.real.detach()
        squares = squared_slope_along(
            lambda images: turn.critic(images, turn.labels),
            turn.real_logits,
            real,
            torch.randn_like(real),
            step=self.step,
        )
        return squares.mean() * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class PenaltyAtPoints(CriticGradientPenalty):
    """A price on the norm of the critic's gradient at points of its own, scored with the real images' labels."""

    # The points are computed from the real images, which lets one compiled graph differentiate by them.
    differentiates_real: ClassVar[bool] = True

    weight: float = 10.0

    @abstractmethod
    def points(self, turn: Turn) -> Images:
        """Where to look, one point per real image."""

    @abstractmethod
    def price(self, norms: PerSample) -> PerSample:
        """What a gradient of this norm costs."""

    def penalty(self, turn: Turn) -> Scalar:
        gradient = gradient_at(lambda images: turn.critic(images, turn.labels), self.points(turn))
        return self.price(gradient_norm(gradient) * turn.gradient_scale).mean()


@dataclass(kw_only=True, eq=False)
class PenaltyBetween(PenaltyAtPoints):
    """A price at random points on the lines from real images to fakes."""

    between: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        nearest, farthest = self.between
        if nearest > farthest:
            raise ValueError(f"{type(self).__name__}: between={self.between} must be two growing numbers, usually 0, 1")

    def points(self, turn: Turn) -> Images:
        return interpolated(turn.real, turn.fake, between=self.between)


@dataclass(kw_only=True, eq=False)
class GradientPenalty(PenaltyBetween):
    """WGAN-GP: ``weight * E (||dD/dx|| / target - 1)^2`` between real and fake images.

    Gulrajani et al. 2017 (arXiv:1704.00028), with `Wasserstein`, five turns of the critic for one of the generator, and
    no batch norm in the critic. PGGAN (Karras et al. 2018, arXiv:1710.10196, appendix A.1) adds `Drift` and takes one
    turn each.

    Args:
        weight: the paper's lambda.
        target: the slope that costs nothing; PGGAN's code took 750 for CIFAR-10.
        between: range of the points, from 0, the real image, to 1, the fake.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for a target that is not positive.
    """

    name: ClassVar[str] = "wgan_gp"

    target: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target <= 0:
            raise ValueError(
                f"GradientPenalty: target={self.target} must be positive; ZeroCenteredGradientPenalty is the one for 0"
            )

    def price(self, norms: PerSample) -> PerSample:
        return distance_to_target(norms, target=self.target)


@dataclass(kw_only=True, eq=False)
class LipschitzPenalty(PenaltyBetween):
    """WGAN-LP: ``weight * E max(0, ||dD/dx|| - 1)^2`` between real and fake (Petzka et al. 2018, arXiv:1709.08894).

    Args:
        weight: the paper's lambda.
        between: range of the points, from 0, the real image, to 1, the fake.
        every_n_turns: interval in the discriminator's turns.
    """

    name: ClassVar[str] = "wgan_lp"

    def price(self, norms: PerSample) -> PerSample:
        return excess_over_one(norms)


@dataclass(kw_only=True, eq=False)
class ZeroCenteredGradientPenalty(PenaltyBetween):
    """0-GP: ``weight * E ||dD/dx||^2`` between real and fake (Thanh-Tung et al. 2019, arXiv:1902.03984).

    For any objective. At the real images alone, with between=(0, 0), it is R1 with gamma = 2 * weight.

    Args:
        weight: the paper's lambda.
        between: range of the points, from 0, the real image, to 1, the fake.
        every_n_turns: interval in the discriminator's turns.
    """

    name: ClassVar[str] = "zero_gp"

    def price(self, norms: PerSample) -> PerSample:
        return norms.square()


@dataclass(kw_only=True, eq=False)
class DivergencePenalty(PenaltyBetween):
    """WGAN-div: ``weight * E ||dD/dx||^power`` between real and fake (Wu et al. 2018, arXiv:1712.01026), fp32 or wider.

    With `Wasserstein`. It needs no Lipschitz bound: with this term the objective is a divergence of its own.

    Args:
        weight: the paper's k.
        power: the paper's p, above 1.
        between: range of the points, from 0, the real image, to 1, the fake; the paper found that it hardly matters.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for a power of 1 or less.
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
    """``weight * E (||dD/dx|| - 1)^2`` around real images (Kodali et al. 2017, arXiv:1705.07215).

    With `NonSaturating`. The standard deviation that scales the noise is each rank's own.

    Args:
        weight: the paper's lambda.
        noise: largest noise per pixel, in standard deviations of the batch.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for negative noise.
    """

    name: ClassVar[str] = "dragan"

    noise: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise < 0:
            raise ValueError(f"DRAGAN: noise={self.noise} must not be negative; 0.5 is the authors'")

    def points(self, turn: Turn) -> Images:
        return noised(turn.real, noise=self.noise)

    def price(self, norms: PerSample) -> PerSample:
        return distance_to_target(norms, target=1.0)


@dataclass(kw_only=True, eq=False)
class Drift(Penalty):
    """``weight * E D(x)^2`` on real images, which keeps a Wasserstein critic's scores near 0 (arXiv:1710.10196, A.1).

    Args:
        weight: the paper's epsilon_drift.
        every_n_turns: interval in the discriminator's turns.
    """

    name: ClassVar[str] = "drift"
    player: ClassVar[Player] = "discriminator"

    weight: float = 0.001

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        return turn.real_logits.square().mean()
