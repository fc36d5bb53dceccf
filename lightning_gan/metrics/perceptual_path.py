"""Perceptual path length: the perceptual change of images along short steps between two latents.

It is the mean, over pairs of latents and places t between them, of ``d(G(path(t)), G(path(t + ε))) / ε^2`` (Karras et
al. 2019, StyleGAN, arXiv:1812.04948, section 4.1, equations 2 and 3). The perceptual distance d grows with the square
of the change. The papers use LPIPS (Zhang et al. 2018, arXiv:1801.03924), which is `LpipsDistance`; its weights are not
part of this package. `DigitDistance` replaces it for digits; its values can only be compared with each other.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, normalize

from lightning_gan.metrics.digit_features import IMAGE_SIZE, DigitFeatures
from lightning_gan.tensors.shapes import Images, Latents, PerSample, Scalar

Distance: TypeAlias = Callable[[Images, Images], PerSample]
"""A perceptual distance of pairs of images in [-1, 1]: one number per pair, which grows with the square of a change.

LPIPS is `LpipsDistance`.
"""


class DigitDistance(nn.Module):
    """Squared distance between the 64 features of digits: an offline replacement of LPIPS, for digit images only.

    Unlike `DigitFeatures`, it takes the generator's images without rounding them to 256 levels, because after rounding
    two images that differ by a ten-thousandth would be equal, or differ by a whole level.

    Example:
        >>> DigitDistance()(torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32))
        tensor([0., 0.])
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = DigitFeatures()

    def forward(self, first: Images, second: Images) -> PerSample:
        """Returns one distance per pair of images in [-1, 1] of any size; channels are averaged."""
        apart: PerSample = (self._describe(first) - self._describe(second)).square().sum(dim=1)
        return apart

    def _describe(self, images: Images) -> Tensor:
        grey = images.mean(dim=1, keepdim=True)
        if grey.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
            grey = interpolate(grey, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
        described: Tensor = self.features.body(grey)
        return described


def slerp(first: Latents, second: Latents, places: PerSample) -> Latents:
    """Interpolates latents in z: returns unit vectors on the great circle between the directions of two latents.

    Both latents are normalized, because the length of a normal latent has no effect (section 4.1).

    Args:
        first: latents where the paths begin, `batch latent`.
        second: latents where the paths end.
        places: places t on the paths, as fractions of the angle in [0, 1].

    Example:
        >>> middle = slerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([0.5]))
        >>> [round(value, 4) for value in middle.flatten().tolist()]
        [0.7071, 0.7071]
    """
    first, second = normalize(first, dim=1), normalize(second, dim=1)
    cosine = (first * second).sum(dim=1, keepdim=True).clamp(-1, 1)
    angle = places[:, None] * torch.acos(cosine)
    towards = normalize(second - cosine * first, dim=1)
    return normalize(torch.cos(angle) * first + torch.sin(angle) * towards, dim=1)


def crop_face(images: Images) -> Tensor:
    """Crops the face from images aligned as in CelebA-HQ and FFHQ: rows 3/8 to 7/8, columns 2/8 to 6/8.

    Raises:
        ValueError: if the images are smaller than 8 pixels.
    """
    height, width = images.shape[-2:]
    if min(height, width) < 8:
        raise ValueError(
            f"images of {height} x {width} pixels are too small to crop a face; use images of at least 8 pixels, or "
            "set crop_faces to false"
        )
    return images[:, :, height // 8 * 3 : height // 8 * 7, width // 8 * 2 : width // 8 * 6]


def reduced(images: Images, *, largest: int = 256) -> Tensor:
    """Averages images over boxes of whole pixels, so that their height is about `largest`, as LPIPS expects.

    Args:
        images: `batch channels height width`.
        largest: height in pixels from which on images are made smaller by a whole factor.

    Example:
        >>> [reduced(torch.zeros(1, 1, size, size)).shape[-1] for size in (1024, 512, 256, 32)]
        [256, 256, 256, 32]
    """
    factor = images.shape[-2] // largest
    return avg_pool2d(images, factor) if factor > 1 else images


def path_lengths(
    start: Images, end: Images, *, distance: Distance, epsilon: float, crop_faces: bool = False
) -> PerSample:
    """Returns ``d(start, end) / ε^2`` of pairs of images from latents `epsilon` apart, with the same noise (eq. 2).

    Args:
        start: images in about [-1, 1], neither clipped nor rounded.
        end: images one step further along the paths.
        distance: perceptual distance d of pairs of images, which grows with the square of their difference.
        epsilon: length ε of the step.
        crop_faces: whether the distance is computed for the face alone, as in the papers for CelebA-HQ and FFHQ.

    Raises:
        ValueError: if the distance does not give one number per pair.
    """
    if crop_faces:
        start, end = crop_face(start), crop_face(end)
    apart = distance(reduced(start), reduced(end))
    if apart.numel() != len(start):
        raise ValueError(
            f"the distance {type(distance).__name__} gave shape {tuple(apart.shape)} for {len(start)} pairs of images; "
            "it must give one number per pair, as lightning_gan.metrics.LpipsDistance does"
        )
    return apart.reshape(-1) / epsilon**2


def mean_without_extremes(lengths: PerSample, *, share: float = 0.01) -> Scalar:
    """Returns the mean of the lengths between two quantiles, in float64; a few extreme pairs would dominate the mean.

    Args:
        lengths: path lengths of all pairs.
        share: share of the lengths that is left out at either end, in [0, 0.5); 0.01 in the authors' code. The
            quantiles are values of the set and are not left out.

    Example:
        >>> mean_without_extremes(torch.tensor([0.0, 1.0, 2.0, 3.0, 400.0]), share=0.25).item()
        2.0
    """
    ordered = lengths.double().sort().values
    last = len(ordered) - 1
    lowest = int(share * last)  # rounded down, and its mirror image up
    return ordered[lowest : last - lowest + 1].mean()
