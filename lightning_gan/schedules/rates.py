"""Factors of a learning rate, as pure functions of the number of images seen, so that checkpoints need no state."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import final

from lightning_gan.schedules.values import Schedule, along_cosine


class LearningRateSchedule(Schedule):
    """Base class of factors, which multiply an optimizer's own learning rate or the weight of a penalty."""

    @abstractmethod
    def at(self, images_seen: int) -> float:
        """Returns the factor for the batch that starts after `images_seen` images."""


@final
@dataclass(frozen=True, kw_only=True)
class Constant(LearningRateSchedule):
    """A constant factor.

    Args:
        factor: factor of the learning rate; 1 does not change it.
    """

    factor: float = 1.0

    def at(self, images_seen: int) -> float:
        return self.factor


@final
@dataclass(frozen=True, kw_only=True)
class RampUp(LearningRateSchedule):
    """A factor that grows linearly from 0 to 1.

    Args:
        kimg: thousands of images after which the factor is 1.

    Raises:
        ValueError: if `kimg` is not positive.

    Example:
        >>> RampUp(kimg=40.0).at(10_000)
        0.25
    """

    kimg: float

    def __post_init__(self) -> None:
        if not self.kimg > 0:  # nor what is no number
            raise ValueError(f"RampUp: kimg={self.kimg} must be positive; leave the schedule out for no ramp-up")

    def at(self, images_seen: int) -> float:
        return min(images_seen / (1000 * self.kimg), 1.0)


@final
@dataclass(frozen=True, kw_only=True)
class GaussianRampUp(LearningRateSchedule):
    """A factor that grows from ``exp(-5)`` to 1 along half a bell curve: ``exp(-5 (1 - t)^2)``.

    PGGAN's authors use it in their Theano code, for their first 40 thousand images (Karras et al. 2018,
    arXiv:1710.10196).

    Args:
        kimg: thousands of images after which the factor is 1 (``t = 1``).

    Raises:
        ValueError: if `kimg` is not positive.

    Example:
        >>> round(GaussianRampUp(kimg=40.0).at(20_000), 4)
        0.2865
    """

    kimg: float

    def __post_init__(self) -> None:
        if not self.kimg > 0:  # nor what is no number
            raise ValueError(f"GaussianRampUp: kimg={self.kimg} must be positive; leave it out for no ramp-up")

    def at(self, images_seen: int) -> float:
        left = max(1.0 - images_seen / (1000 * self.kimg), 0.0)
        return math.exp(-5.0 * left**2)


@dataclass(frozen=True, kw_only=True)
class Decay(LearningRateSchedule):
    """A factor of 1 until `start_kimg` that decays to `final_factor` at `end_kimg`; subclasses define the curve.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which the decay ends.
        final_factor: factor after the decay.

    Raises:
        ValueError: if `start_kimg` is negative, or `end_kimg` is not after `start_kimg`.
    """

    start_kimg: float = 0.0
    end_kimg: float
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start_kimg < self.end_kimg:
            raise ValueError(
                f"end_kimg={self.end_kimg} must come after start_kimg={self.start_kimg}, which must not be negative"
            )

    @abstractmethod
    def after(self, passed: float) -> float:
        """Returns the factor after a share of the decay, from 0 at its start to 1 at its end."""

    @final
    def at(self, images_seen: int) -> float:
        passed = (images_seen / 1000 - self.start_kimg) / (self.end_kimg - self.start_kimg)
        return self.after(min(max(passed, 0.0), 1.0))


@final
@dataclass(frozen=True, kw_only=True)
class LinearDecay(Decay):
    """A factor of 1 until `start_kimg` that decays linearly to `final_factor` at `end_kimg`.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which the decay ends.
        final_factor: factor after the decay.

    Raises:
        ValueError: if `start_kimg` is negative, or `end_kimg` is not after `start_kimg`.

    Example:
        >>> LinearDecay(start_kimg=10.0, end_kimg=20.0).at(15_000)
        0.5
    """

    def after(self, passed: float) -> float:
        return 1.0 + (self.final_factor - 1.0) * passed


@final
@dataclass(frozen=True, kw_only=True)
class CosineDecay(Decay):
    """A factor of 1 until `start_kimg` that decays to `final_factor` at `end_kimg` (arXiv:1608.03983, eq. 5).

    The curve is half a period of a cosine.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which the decay ends.
        final_factor: factor after the decay.

    Raises:
        ValueError: if `start_kimg` is negative, or `end_kimg` is not after `start_kimg`.
    """

    def after(self, passed: float) -> float:
        return along_cosine(passed, first=1.0, last=self.final_factor)


@final
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Decay):
    """A factor of 1 until `start_kimg` that decays exponentially to `final_factor` at `end_kimg`.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which the decay ends.
        final_factor: factor after the decay; 0.01 for BiGAN's authors.

    Raises:
        ValueError: if `start_kimg` is negative, `end_kimg` is not after it, or `final_factor` is not positive.

    Example:
        >>> ExponentialDecay(start_kimg=10.0, end_kimg=20.0, final_factor=0.25).at(15_000)
        0.5
    """

    final_factor: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_factor <= 0:
            raise ValueError(
                f"ExponentialDecay: final_factor={self.final_factor} must be positive; LinearDecay can end at 0"
            )

    def after(self, passed: float) -> float:
        return float(self.final_factor**passed)
