"""Numbers that change during training, as pure functions of the number of images seen, so that checkpoints need no
state. Arguments of the type ``float | Schedule`` accept a number or such a schedule.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

FINALLY = 10**15
"""A number of images seen after which every schedule has ended."""


class Schedule(ABC):
    """Base class of schedules: a number as a function of the images seen."""

    @abstractmethod
    def at(self, images_seen: int) -> float:
        """Returns the number for the batch that starts after `images_seen` images."""


def number_at(value: float | Schedule, images_seen: int) -> float:
    """Returns a number that may be scheduled, for the batch that starts after `images_seen` images.

    Example:
        >>> number_at(0.5, 1000)
        0.5
    """
    return value.at(images_seen) if isinstance(value, Schedule) else float(value)


def check_ends(name: str, value: float | Schedule, *, least: float, below: float | None = None) -> None:
    """Checks that a number, or the first and the last number of a schedule, is in a range.

    Args:
        name: name of the setting, for the error message.
        value: the number or the schedule.
        least: smallest number allowed.
        below: number that all must be below; None for no limit.

    Raises:
        ValueError: for a number that is out of range.
    """
    for number in {number_at(value, 0), number_at(value, FINALLY)}:
        if not (least <= number and (below is None or number < below)):  # so that NaN is refused, too
            upper = "" if below is None else f" and below {below:g}"
            raise ValueError(f"{name}={value} must be at least {least:g}{upper} at all times")


def along_cosine(passed: float, *, first: float, last: float) -> float:
    """Returns the number after a share of half a period of a cosine, which is flat at both ends.

    Args:
        passed: share that has passed, from 0 to 1.
        first: number at 0.
        last: number at 1.

    Example:
        >>> along_cosine(0.5, first=4.0, last=2.0)
        3.0
    """
    return last + (first - last) * (1.0 + math.cos(math.pi * passed)) / 2


@final
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """A number that goes from `first` to `last` along half a period of a cosine, upwards or downwards.

    R3GAN's authors change the learning rate, Adam's second beta, the weight of the gradient penalties, the half-life of
    the average and the probability of augmentation in this way (Huang et al. 2024, arXiv:2501.05441).

    Args:
        first: number until `start_kimg`.
        last: number from `end_kimg` on.
        start_kimg: thousands of images after which the number begins to change.
        end_kimg: thousands of images after which it does not change any more.

    Raises:
        ValueError: if `start_kimg` is negative, `end_kimg` is not after it, or a number is not finite.

    Example:
        >>> Cosine(first=0.9, last=0.99, end_kimg=20_000.0).at(10_000_000)
        0.9450000000000001
    """

    first: float
    last: float
    start_kimg: float = 0.0
    end_kimg: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.first) and math.isfinite(self.last)):
            raise ValueError(f"Cosine: first={self.first} and last={self.last} must be finite numbers")
        if not 0 <= self.start_kimg < self.end_kimg:
            raise ValueError(
                f"Cosine: end_kimg={self.end_kimg} must come after start_kimg={self.start_kimg}, which must not be "
                "negative"
            )

    def at(self, images_seen: int) -> float:
        passed = (images_seen / 1000 - self.start_kimg) / (self.end_kimg - self.start_kimg)
        return along_cosine(min(max(passed, 0.0), 1.0), first=self.first, last=self.last)
