"""Factors on a learning rate: pure functions of images seen, so that nothing has to be saved for a resume."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final


class LearningRateSchedule(ABC):
    """What an optimizer's own learning rate is multiplied by."""

    @abstractmethod
    def at(self, images_seen: int) -> float:
        """The factor for the batch that starts after `images_seen` images."""


@final
@dataclass(frozen=True, kw_only=True)
class Constant(LearningRateSchedule):
    """Always the same factor.

    Args:
        factor: 1 leaves the learning rate as it is.
    """

    factor: float = 1.0

    def at(self, images_seen: int) -> float:
        return self.factor


@final
@dataclass(frozen=True, kw_only=True)
class RampUp(LearningRateSchedule):
    """Linearly from 0 to 1; the PGGAN authors' first code took 40 thousand images.

    Args:
        kimg: thousands of images it takes.

    Raises:
        ValueError: if that is not positive.

    Example:
        >>> RampUp(kimg=40.0).at(10_000)
        0.25
    """

    kimg: float

    def __post_init__(self) -> None:
        if self.kimg <= 0:
            raise ValueError(f"RampUp: kimg={self.kimg} must be positive; leave the schedule out for no ramp-up")

    def at(self, images_seen: int) -> float:
        return min(images_seen / (1000 * self.kimg), 1.0)


@dataclass(frozen=True, kw_only=True)
class Decay(LearningRateSchedule):
    """1 until `start_kimg`, then to `final_factor` at `end_kimg` and beyond; subclasses say on which way.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which it ends.
        final_factor: what is left at the end.

    Raises:
        ValueError: if the end is not after the start.
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
        """The factor when this share of the decay has passed, from 0 to 1."""

    @final
    def at(self, images_seen: int) -> float:
        passed = (images_seen / 1000 - self.start_kimg) / (self.end_kimg - self.start_kimg)
        return self.after(min(max(passed, 0.0), 1.0))


@final
@dataclass(frozen=True, kw_only=True)
class LinearDecay(Decay):
    """1 until `start_kimg`, then linearly to `final_factor` at `end_kimg` and beyond.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which it ends.
        final_factor: what is left at the end.

    Raises:
        ValueError: if the end is not after the start.

    Example:
        >>> LinearDecay(start_kimg=10.0, end_kimg=20.0).at(15_000)
        0.5
    """

    def after(self, passed: float) -> float:
        return 1.0 + (self.final_factor - 1.0) * passed


@final
@dataclass(frozen=True, kw_only=True)
class CosineDecay(Decay):
    """1 until `start_kimg`, then half a cosine (arXiv:1608.03983, eq. 5) to `final_factor` at `end_kimg` and beyond.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which it ends.
        final_factor: what is left at the end.

    Raises:
        ValueError: if the end is not after the start.
    """

    def after(self, passed: float) -> float:
        return self.final_factor + (1.0 - self.final_factor) * (1.0 + math.cos(math.pi * passed)) / 2


@final
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Decay):
    """1 until `start_kimg`, then by the same factor for every image to `final_factor` at `end_kimg` and beyond.

    Args:
        start_kimg: thousands of images after which the decay begins.
        end_kimg: thousands of images after which it ends.
        final_factor: what is left at the end; BiGAN's authors end at 0.01.

    Raises:
        ValueError: if the end is not after the start, or nothing is left.

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
