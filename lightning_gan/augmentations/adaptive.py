"""The augmentation pipeline of ADA (Karras et al. 2020, arXiv:2006.06676, appendix B, table 3), without its controller.

Each operation is applied to each image with a probability of its own, ``p`` times a factor of its group. With
probabilities below 1 the pipeline can be undone in distribution: augmented distributions are equal only if the
distributions are (section 2.2). The generator then learns images that are not augmented.

The authors resample once for blits and geometry. Here blits copy pixels, and geometry resamples their result: the
authors' filter is not quite symmetric, so that a resampled flip is shifted by 0.4 pixels. Images to which no operation
of a group applies are not resampled.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lightning_gan.augmentations.colours import (
    brightness,
    contrast,
    hue_rotation,
    luma_flip,
    recoloured,
    saturation,
)
from lightning_gan.augmentations.corruptions import band_filtered, cut_out, normalized_gains
from lightning_gan.augmentations.warping import blitted, quarter_turns, rotation, scaling, translation, warped
from lightning_gan.augmentations.wavelets import BANDS
from lightning_gan.tensors.draws_by_position import normal, normal_like, uniform
from lightning_gan.tensors.shapes import FakeImages, Scalar

SHIFT = 0.125
"""Largest shift by whole pixels, and standard deviation of the other shifts, in parts of the image."""
SCALE_DEVIATION = 0.2
"""Standard deviation of the logarithm to the base 2 of scales."""
BRIGHTNESS_DEVIATION = 0.2
CONTRAST_DEVIATION = 0.5
"""Standard deviation of the logarithm to the base 2 of the contrast; that of the saturation and of gains is 1."""
NOISE_DEVIATION = 0.1
CUTOUT_SIZE = 0.5


@dataclass(frozen=True, kw_only=True)
class AugmentationGroups:
    """Factors of the probability p, one for each group of operations; 0 leaves a group out.

    The defaults are the authors' choice for most data sets (`bgc`: blits, geometry and colour). R3GAN's authors use
    ``colour=0.5, cutout=1``.

    Args:
        blit: horizontal flips, rotations by multiples of 90 degrees, and shifts by whole pixels.
        geometry: scales, rotations, stretches and shifts by fractions of a pixel.
        colour: brightness, contrast, luma flip, hue and saturation, for images of 1 or 3 channels.
        filter: gains of four bands of frequencies.
        noise: Gaussian noise.
        cutout: a rectangle of zeros of half of the width and height.

    Raises:
        ValueError: for factors that are negative or not finite, and if all are 0.
    """

    blit: float = 1.0
    geometry: float = 1.0
    colour: float = 1.0
    filter: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        factors = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, factor in factors.items():
            if not 0 <= factor < math.inf:
                raise ValueError(
                    f"AugmentationGroups: {name}={factor} must be finite and not negative; 0 leaves the group out"
                )
        if not any(factors.values()):
            raise ValueError("AugmentationGroups: all groups are 0, so that nothing is augmented; set one to 1")


def augmented(
    images: FakeImages, probability: Scalar, *, groups: AugmentationGroups, low_pass: Tensor, bank: Tensor
) -> FakeImages:
    """Images of which each is augmented at random. An image to which no operation applies is returned bit for bit.

    It can be differentiated any number of times with respect to the images.

    Args:
        images: images in about [-1, 1], `batch channels height width`, in fp32 or fp64.
        probability: the probability p in [0, 1], a tensor on the images' device.
        groups: factors of the probability for each group of operations.
        low_pass: the filter `wavelets.sym6`, on the images' device.
        bank: the filters `wavelets.filter_bank`, on the images' device.

    Raises:
        ValueError: for colour augmentation of images that have neither 1 nor 3 channels, and for images of less than 2
            pixels per side.
    """
    if groups.blit:
        inverse, moved = random_blits(images, probability * groups.blit)
        images = _where(moved, blitted(images, inverse), images)
    if groups.geometry:
        inverse, moved = random_geometry(images, probability * groups.geometry)
        images = _where(moved, warped(images, inverse, low_pass=low_pass), images)
    if groups.colour:
        matrices, coloured = random_colours(images, probability * groups.colour)
        images = _where(coloured, recoloured(images, matrices), images)
    if groups.filter:
        gains, filtered = random_gains(images, probability * groups.filter)
        images = _where(filtered, band_filtered(images, gains, bank=bank), images)
    if groups.noise:
        sigma = NOISE_DEVIATION * _normal(images, 1)[:, 0].abs()
        chosen = _chosen(images, 1, probability * groups.noise)[:, 0]
        images = _where(chosen, images + sigma[:, None, None, None] * normal_like(images), images)
    if groups.cutout:
        chosen = _chosen(images, 1, probability * groups.cutout)[:, 0]
        images = cut_out(images, _uniform(images, 2), size=CUTOUT_SIZE, chosen=chosen)
    return images


def random_blits(images: FakeImages, probability: Scalar) -> tuple[Tensor, Tensor]:
    """Random inverse transformations that copy pixels: flips, quarter turns and shifts by whole pixels.

    Args:
        images: images, of which the size counts.
        probability: probability of each operation.

    Returns:
        Matrices `batch 3 3` in pixels from the image's centre, and booleans `batch`: which images are transformed.
    """
    height, width = images.shape[2:]
    chosen, numbers = _chosen(images, 3, probability), _uniform(images, 4)
    flips = 1 - 2 * (chosen[:, 0] & (numbers[:, 0] < 0.5)).to(images.dtype)
    quarters = torch.where(chosen[:, 1], (4 * numbers[:, 1]).floor(), 0)
    shifts = torch.where(chosen[:, 2:], SHIFT * (2 * numbers[:, 2:] - 1), 0)
    inverse = scaling(flips, torch.ones_like(flips)) @ quarter_turns(-quarters)
    inverse = inverse @ translation(-(shifts[:, 0] * width).round(), -(shifts[:, 1] * height).round())
    return inverse, chosen.any(1)


def random_geometry(images: FakeImages, probability: Scalar) -> tuple[Tensor, Tensor]:
    """Random inverse affine transformations: a scale, a rotation, a stretch, another rotation and a shift.

    The rotations are before and after the stretch, each with the probability ``1 - sqrt(1 - p)``, so that an image is
    rotated with the probability p.

    Args:
        images: images, of which the size counts.
        probability: probability p of each operation.

    Returns:
        Matrices `batch 3 3` in pixels from the image's centre, and booleans `batch`: which images are transformed.
    """
    height, width = images.shape[2:]
    rotates = 1 - (1 - probability).clamp(0, 1).sqrt()
    of_operations = torch.stack([probability, rotates, probability, rotates, probability])
    chosen = uniform((len(images), 5), device=images.device) < of_operations
    angles, numbers = math.pi * (2 * _uniform(images, 2) - 1), _normal(images, 4)
    scale = torch.exp2(torch.where(chosen[:, 0], SCALE_DEVIATION * numbers[:, 0], 0))
    stretch = torch.exp2(torch.where(chosen[:, 2], SCALE_DEVIATION * numbers[:, 1], 0))
    before, after = torch.where(chosen[:, 1], angles[:, 0], 0), torch.where(chosen[:, 3], angles[:, 1], 0)
    shift = torch.where(chosen[:, 4:], SHIFT * numbers[:, 2:], 0)
    inverse = scaling(1 / scale, 1 / scale) @ rotation(-before) @ scaling(1 / stretch, stretch) @ rotation(-after)
    return inverse @ translation(-shift[:, 0] * width, -shift[:, 1] * height), chosen.any(1)


def random_colours(images: FakeImages, probability: Scalar) -> tuple[Tensor, Tensor]:
    """Random matrices of colours, and which images they change.

    Args:
        images: images, of which the number, the dtype and the device count.
        probability: probability of each operation.

    Returns:
        Matrices `batch 4 4`, and booleans `batch`.
    """
    chosen, uniforms, normals = _chosen(images, 5, probability), _uniform(images, 2), _normal(images, 3)
    offset = torch.where(chosen[:, 0], BRIGHTNESS_DEVIATION * normals[:, 0], 0)
    factor = torch.exp2(torch.where(chosen[:, 1], CONTRAST_DEVIATION * normals[:, 1], 0))
    flips = (chosen[:, 2] & (uniforms[:, 0] < 0.5)).to(images.dtype)
    angle = torch.where(chosen[:, 3], math.pi * (2 * uniforms[:, 1] - 1), 0)
    grey = torch.exp2(torch.where(chosen[:, 4], normals[:, 2], 0))
    matrices = luma_flip(flips) @ contrast(factor) @ brightness(offset)
    return saturation(grey) @ hue_rotation(angle) @ matrices, chosen.any(1)


def random_gains(images: FakeImages, probability: Scalar) -> tuple[Tensor, Tensor]:
    """Random gains of the bands of frequencies, ``2^N(0, 1)`` for each, and which images they change.

    Each band is amplified with its probability, and each time all bands are divided so that the expected power stays.

    Args:
        images: images, of which the number, the dtype and the device count.
        probability: probability of each band.

    Returns:
        Gains `batch bands`, and booleans `batch`.
    """
    chosen, normals = _chosen(images, BANDS, probability), _normal(images, BANDS)
    exponents = torch.where(chosen, normals, 0)
    gains = torch.ones_like(exponents)
    for band in torch.diag_embed(exponents).unbind(1):  # batch bands, of which one is not 0
        gains = gains * normalized_gains(torch.exp2(band))
    return gains, chosen.any(1)


def _where(chosen: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], changed, images)


def _chosen(images: Tensor, operations: int, probability: Tensor) -> Tensor:
    """Which operations apply to which images, `batch operations`."""
    return uniform((len(images), operations), device=images.device) < probability


def _uniform(images: Tensor, numbers: int) -> Tensor:
    return uniform((len(images), numbers), dtype=images.dtype, device=images.device)


def _normal(images: Tensor, numbers: int) -> Tensor:
    return normal((len(images), numbers), dtype=images.dtype, device=images.device)
