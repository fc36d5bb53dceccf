"""The range of the original values of images, and their conversion to and from floats in [-1, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias, final

import numpy as np
from jaxtyping import Float, Float32, Float64, Num
from torch import Tensor

Values: TypeAlias = Float32[np.ndarray, "height width channels"]
"""One image as floats in [-1, 1]."""

BYTES = (0.0, 255.0)
"""The range of images of 8 bits per channel."""


@final
class ValuesError(ValueError):
    """An image is whole, and its values or their number of channels are not those that the settings say.

    Args:
        found: what is wrong with the image.
        remedy: what can be done about it in a data set.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found, remedy)  # both, so that processes can send it to each other
        self.found, self.remedy = found, remedy

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}"


@final
@dataclass(frozen=True, kw_only=True)
class ValueRange:
    """The values that stand for -1 and for 1 in networks. The conversion is linear, and computed in double precision.

    Args:
        low: value that stands for -1.
        high: value that stands for 1, above `low`.

    Raises:
        ValueError: if a value is not finite, or `high` is not above `low`.

    Example:
        >>> import numpy as np, torch
        >>> depth = ValueRange(low=0.0, high=65535.0)
        >>> depth.scaled(np.array([0, 32767.5, 65535])).tolist(), depth.original(torch.tensor([-1.0, 1.0])).tolist()
        ([-1.0, 0.0, 1.0], [0.0, 65535.0])
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"value_range={self} must be two finite numbers, of which the second is the larger, such as [0, 65535]"
            )

    def scaled(self, values: Num[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        """Returns ``2 (x - low) / (high - low) - 1``.

        Raises:
            ValuesError: if a value is not finite, or outside of the range.
        """
        wrong = ~((values >= self.low) & (values <= self.high))  # also what is not a number
        if wrong.any():
            value = values[wrong].flat[0]
            if not np.isfinite(value):
                raise ValuesError(f"its value {value} is not finite", "give it a finite one, or leave out the image")
            raise ValuesError(
                f"its value {value} is outside of value_range {self}",
                "give a range that holds all values, or correct or leave out the image",
            )
        if (self.low, self.high) == (-1.0, 1.0):
            return values.astype(np.float32)
        wide = values.astype(np.float64)
        return ((wide - self.low) * (2 / (self.high - self.low)) - 1).clip(-1, 1).astype(np.float32)

    def original(self, images: Float[Tensor, "..."]) -> Float64[Tensor, "..."]:
        """Returns ``low + (x + 1) (high - low) / 2`` of floats, which are clipped to [-1, 1] before."""
        return self.low + (images.double().clamp(-1, 1) + 1) * ((self.high - self.low) / 2)

    def __str__(self) -> str:
        """The argument `value_range` that is exactly this range."""
        return f"[{repr(self.low).removesuffix('.0')}, {repr(self.high).removesuffix('.0')}]"


def value_range_of(given: Sequence[float] | None) -> ValueRange | None:
    """Returns the range of an argument `value_range`; None stands for images of 8 bits per channel.

    Raises:
        ValueError: if the numbers are no range.
    """
    if given is None:
        return None
    if len(given) != 2:
        raise ValueError(f"value_range={list(given)} must be two numbers, such as [0, 65535]")
    return ValueRange(low=float(given[0]), high=float(given[1]))
