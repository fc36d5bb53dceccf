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


@final
@dataclass(frozen=True, kw_only=True)
class LinearDecay(LearningRateSchedule):
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

    start_kimg: float = 0.0
    end_kimg: float
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        _check_span(self.start_kimg, self.end_kimg)

    def at(self, images_seen: int) -> float:
        passed = _share_passed(images_seen, start_kimg=self.start_kimg, end_kimg=self.end_kimg)
        return 1.0 + (self.final_factor - 1.0) * passed


@final
@dataclass(frozen=True, kw_only=True)
class CosineDecay(LearningRateSchedule):
    """1 until `start_kimg`, then half a cosine (arXiv:1608.03983, eq. 5) to `final_factor` at `end_kimg` and beyond.

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
        _check_span(self.start_kimg, self.end_kimg)

    def at(self, images_seen: int) -> float:
        passed = _share_passed(images_seen, start_kimg=self.start_kimg, end_kimg=self.end_kimg)
        return self.final_factor + (1.0 - self.final_factor) * (1.0 + math.cos(math.pi * passed)) / 2


@final
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(LearningRateSchedule):
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

    start_kimg: float = 0.0
    end_kimg: float
    final_factor: float = 0.01

    def __post_init__(self) -> None:
        _check_span(self.start_kimg, self.end_kimg)
        if self.final_factor <= 0:
            raise ValueError(
                f"ExponentialDecay: final_factor={self.final_factor} must be positive; LinearDecay can end at 0"
            )

    def at(self, images_seen: int) -> float:
        passed = _share_passed(images_seen, start_kimg=self.start_kimg, end_kimg=self.end_kimg)
        return float(self.final_factor**passed)


def _share_passed(images_seen: int, *, start_kimg: float, end_kimg: float) -> float:
    """0 until the start, 1 from the end on, linear between."""
    return min(max((images_seen / 1000 - start_kimg) / (end_kimg - start_kimg), 0.0), 1.0)


def _check_span(start_kimg: float, end_kimg: float) -> None:
    if not 0 <= start_kimg < end_kimg:
        raise ValueError(f"end_kimg={end_kimg} must come after start_kimg={start_kimg}, which must not be negative")
