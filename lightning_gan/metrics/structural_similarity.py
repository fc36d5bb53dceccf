"""Multi-scale structural similarity of two images, MS-SSIM (Wang et al. 2003).

High similarity between a generator's samples means that it has lost variety (Odena et al. 2017, arXiv:1610.09585). The
PGGAN paper (Karras et al. 2018, arXiv:1710.10196, section 5) reports the mean over random pairs of samples. It is
meaningful only in comparison with the same mean for real images.

The conventions are those of PGGAN's code: values from 0 to 255, and windows that are inside the image and shrink at
levels that are smaller than the window, so that digits of 32 x 32 pixels also have five levels. (torchmetrics' MS-SSIM
refuses images below 161 pixels, and mirrors the border at its last level.)
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from lightning_gan.tensors.shapes import Images, PerSample

LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five levels, from the finest to the coarsest (Wang et al. 2003)."""

WINDOW_SIZE, WINDOW_DEVIATION = 11, 1.5
"""Width and standard deviation of the Gaussian window in pixels."""

LUMINANCE_CONSTANT, CONTRAST_CONSTANT = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""Constants that keep the fractions finite where an image is dark or has no contrast."""

SMALLEST_SIDE = 2 ** (len(LEVEL_WEIGHTS) - 1)
"""Smallest height and width of images in pixels, because they are halved after each level except the last."""


class Similarity(NamedTuple):
    """Similarity of pairs of images at one level.

    Attributes:
        whole: similarity of luminance, contrast and structure.
        structure: similarity of contrast and structure alone.
    """

    whole: PerSample
    structure: PerSample


def _window(size: int, like: Tensor) -> Tensor:
    """Returns Gaussian weights `[size]` with sum 1, whose standard deviation is proportional to `size`."""
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = (-0.5 * (offsets * WINDOW_SIZE / (size * WINDOW_DEVIATION)).square()).exp()
    return weights / weights.sum()


def _windowed_mean(images: Images, *, size: int) -> Tensor:
    """Returns the Gaussian average around every pixel whose window is inside the image."""
    channels, window = images.shape[1], _window(size, images)
    rows = conv2d(images, window.reshape(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
    return conv2d(rows, window.reshape(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)


def structural_similarity(first: Images, second: Images) -> Similarity:
    """Returns the SSIM of images with values 0 to 255, averaged over pixels and channels (Wang et al. 2004)."""
    size = min(WINDOW_SIZE, *first.shape[-2:])
    mean_one, mean_two = _windowed_mean(first, size=size), _windowed_mean(second, size=size)
    squares = _windowed_mean(first.square() + second.square(), size=size) - mean_one.square() - mean_two.square()
    covariance = _windowed_mean(first * second, size=size) - mean_one * mean_two
    structure = (2 * covariance + CONTRAST_CONSTANT) / (squares + CONTRAST_CONSTANT)
    luminance = (2 * mean_one * mean_two + LUMINANCE_CONSTANT) / (
        mean_one.square() + mean_two.square() + LUMINANCE_CONSTANT
    )
    return Similarity(whole=(luminance * structure).mean(dim=(1, 2, 3)), structure=structure.mean(dim=(1, 2, 3)))


def multi_scale_similarity(first: Images, second: Images) -> PerSample:
    """Returns the MS-SSIM of pairs of images, in float64: 1 for equal images, about 0 for unrelated ones.

    It is ``prod_j structure_j^w_j``; the coarsest of the five levels also compares luminance. Each level is the 2 x 2
    mean of the level before. Negative factors count as 0.

    Args:
        first: images, `batch channels height width`, with values from 0 to 255.
        second: images of the same shape and range.

    Raises:
        ValueError: if the height or the width is less than 16 pixels.

    Example:
        >>> grey = torch.full((1, 1, 32, 32), 100.0)
        >>> multi_scale_similarity(grey, grey + 50).item()
        0.9893892...
    """
    if min(first.shape[-2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"images of {first.shape[-2]} x {first.shape[-1]} pixels are too small for MS-SSIM: its five levels need "
            f"{SMALLEST_SIDE} pixels a side; use larger images"
        )
    # In float64, because variances are differences of large squares.
    first, second = first.double(), second.double()
    product = first.new_ones(len(first))
    for level, weight in enumerate(LEVEL_WEIGHTS):
        if level:
            first, second = (torch.nn.functional.avg_pool2d(images, 2) for images in (first, second))
        similarity = structural_similarity(first, second)
        factor = similarity.structure if level < len(LEVEL_WEIGHTS) - 1 else similarity.whole
        product = product * factor.clamp(min=0) ** weight
    return product
