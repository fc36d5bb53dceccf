"""Multi-scale structural similarity of two images, MS-SSIM (Wang et al. 2003), and of pairs of a generator's samples.

Samples that resemble each other mean that the generator has lost variety (Odena et al. 2017, arXiv:1610.09585); the
PGGAN paper (Karras et al. 2018, arXiv:1710.10196, section 5) reports the mean over random pairs. It is meaningful only
beside the same number of real images.

The conventions are those of PGGAN's code: values 0 to 255, windows that lie inside the image, and that shrink where a
level is smaller than they are, so that digits of 32 x 32 pixels have five levels too. (torchmetrics' MS-SSIM refuses
images below 161 pixels, and takes its last level over a mirrored border.)
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from lightning_gan.tensors.shapes import Images, PerSample

LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five levels, finest first (Wang et al. 2003)."""

WINDOW_SIZE, WINDOW_DEVIATION = 11, 1.5
"""The Gaussian window, in pixels."""

LUMINANCE_CONSTANT, CONTRAST_CONSTANT = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""They keep the fractions finite where an image is dark or flat."""

SMALLEST_SIDE = 2 ** (len(LEVEL_WEIGHTS) - 1)
"""Every level but the last is halved."""


class Similarity(NamedTuple):
    """Of two images at one level: `structure` compares contrast and structure, `whole` luminance as well."""

    whole: PerSample
    structure: PerSample


def _window(size: int, like: Tensor) -> Tensor:
    """A Gaussian `[size]` of sum 1, its deviation in proportion to its size."""
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = (-0.5 * (offsets * WINDOW_SIZE / (size * WINDOW_DEVIATION)).square()).exp()
    return weights / weights.sum()


def _windowed_mean(images: Images, *, size: int) -> Tensor:
    """Gaussian average around every pixel whose window lies inside the image."""
    channels, window = images.shape[1], _window(size, images)
    rows = conv2d(images, window.reshape(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
    return conv2d(rows, window.reshape(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)


def structural_similarity(first: Images, second: Images) -> Similarity:
    """SSIM of pairs of images with values 0 to 255, averaged over pixels and channels (Wang et al. 2004)."""
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
    """MS-SSIM of pairs of images with values 0 to 255: 1 for equal images, about 0 for unrelated ones, in float64.

    ``prod_j structure_j^w_j``, with luminance at the coarsest of the five levels alone; each level is the 2 x 2 mean of
    the one before. Negative factors count as 0.

    Raises:
        ValueError: if a side has fewer than 16 pixels.

    Example:
        >>> grey = torch.full((1, 1, 32, 32), 100.0)
        >>> multi_scale_similarity(grey, grey + 50).item()
        0.9893892...
    """
    if min(first.shape[-2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"images of {first.shape[-2]} x {first.shape[-1]} pixels are too small for MS-SSIM: its five levels need "
            f"{SMALLEST_SIDE} pixels a side"
        )
    # Variances are differences of large squares.
    first, second = first.double(), second.double()
    product = first.new_ones(len(first))
    for level, weight in enumerate(LEVEL_WEIGHTS):
        if level:
            first, second = (torch.nn.functional.avg_pool2d(images, 2) for images in (first, second))
        similarity = structural_similarity(first, second)
        factor = similarity.structure if level < len(LEVEL_WEIGHTS) - 1 else similarity.whole
        product = product * factor.clamp(min=0) ** weight
    return product
