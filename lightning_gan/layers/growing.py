"""Networks that grow: all blocks exist from the start, and the active resolution selects those that are used."""

import math

import torch
from torch import Tensor, nn


def stage_of(resolution: int) -> int:
    """The index of a resolution: 0 for 4x4, 1 for 8x8, 2 for 16x16, ...

    Args:
        resolution: height and width in pixels, a power of two that is at least 4.
    """
    return round(math.log2(resolution)) - 2


def doublings(image_size: int) -> int:
    """How many times a resolution of 4x4 must be doubled to reach images of this size.

    Args:
        image_size: height and width of the images in pixels, a power of two that is at least 8.

    Raises:
        ValueError: if the size is not such a power of two.
    """
    if image_size < 8 or not math.log2(image_size).is_integer():
        raise ValueError(f"image_size={image_size} must be a power of two, and 8 at least")
    return round(math.log2(image_size)) - 2


class Growing(nn.Module):
    """Base class of networks that grow. It has the active resolution, at first the full one, and its block's weight.

    The active resolution is a Python number, so that inactive blocks cost no time and a compiled graph is specialized
    for it. The weight is a tensor, so that it can change in every batch without a new compilation.

    Args:
        image_size: full resolution in pixels, a power of two that is at least 4.

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
        """Set the active resolution, and the weight of its block.

        Args:
            resolution: height and width of the images in pixels, a power of two from 4 to the full resolution.
            fade_in: weight of the block of this resolution, in (0, 1]. 1 means that it is fully faded in.

        Raises:
            ValueError: if the network does not have this resolution, or the weight is out of range.
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
