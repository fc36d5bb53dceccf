"""A network that grows: all blocks exist from the start, and a level says which of them are active."""

import math

import torch
from torch import Tensor, nn


def stage_of(resolution: int) -> int:
    """0 for 4x4, 1 for 8x8, 2 for 16x16 ..."""
    return round(math.log2(resolution)) - 2


def doublings(image_size: int) -> int:
    """How often 4x4 is doubled to get images of this size.

    Raises:
        ValueError: if that is not a whole number of times, and once at least.
    """
    if image_size < 8 or not math.log2(image_size).is_integer():
        raise ValueError(f"image_size={image_size} must be a power of two, and 8 at least")
    return round(math.log2(image_size)) - 2


class Growing(nn.Module):
    """Holds the active resolution and the weight of its newest block; starts complete.

    The level is a Python number, so that inactive blocks cost nothing and a compiled graph specialises on it; the
    weight is a tensor, so that it can change with every batch without a new graph.

    Args:
        image_size: the full resolution, a power of two from 4 to 1024.

    Raises:
        ValueError: if the size is not such a power of two.
    """

    fade_in: Tensor

    def __init__(self, *, image_size: int) -> None:
        super().__init__()
        if image_size < 4 or not math.log2(image_size).is_integer():
            raise ValueError(f"image_size={image_size} must be a power of two, and 4 at least")
        self.image_size = image_size
        self.resolution = image_size
        self.is_fading = False
        self.register_buffer("fade_in", torch.ones(()), persistent=False)

    def grow(self, resolution: int, fade_in: float) -> None:
        """Emit or take images of `resolution`, whose block counts with weight `fade_in` in (0, 1], 1 = stable.

        Raises:
            ValueError: if there is no such level, or the weight is out of range.
        """
        if not (4 <= resolution <= self.image_size and math.log2(resolution).is_integer()):
            raise ValueError(
                f"resolution={resolution} is no level of a network for {self.image_size}x{self.image_size}"
            )
        if not 0.0 < fade_in <= 1.0:
            raise ValueError(f"fade_in={fade_in} must be above 0 and at most 1")
        self.resolution = resolution
        self.is_fading = fade_in < 1.0 and resolution > 4
        self.fade_in.fill_(fade_in)
