"""Perceptual path length: how far images move, as a viewer sees it, along short steps between two latents.

Karras et al. 2019 (StyleGAN, arXiv:1812.04948), section 4.1, equations 2 and 3: the mean, over pairs of latents and
places t between them, of ``d(G(path(t)), G(path(t + ε))) / ε^2``, ``d`` being a perceptual distance that grows with the
square of the change. The papers use LPIPS (Zhang et al. 2018, arXiv:1801.03924), whose weights are not part of this
package; `DigitDistance` stands in for it on digits, and its numbers compare with each other only.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, normalize

from lightning_gan.metrics.digit_features import IMAGE_SIZE, DigitFeatures
from lightning_gan.tensors.shapes import Images, Latents, PerSample, Scalar

Distance: TypeAlias = Callable[[Images, Images], PerSample]
"""A perceptual distance of pairs of images in [-1, 1], one number per pair, growing with the square of a change.

LPIPS is torchmetrics' `LearnedPerceptualImagePatchSimilarity(net_type="vgg", reduction="none")`.
"""


class DigitDistance(nn.Module):
    """Squared distance between the 64 features of digits: an offline stand-in for LPIPS, for digit images only.

    Unlike `DigitFeatures`, it takes images as they leave the generator: rounded to 256 steps, two images a
    ten-thousandth apart would be the same, or a whole step apart.

    Example:
        >>> DigitDistance()(torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32))
        tensor([0., 0.])
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = DigitFeatures()

    def forward(self, first: Images, second: Images) -> PerSample:
        """One number per pair of images in [-1, 1], of any channels and size; colour is averaged."""
        apart: PerSample = (self._describe(first) - self._describe(second)).square().sum(dim=1)
        return apart

    def _describe(self, images: Images) -> Tensor:
        grey = images.mean(dim=1, keepdim=True)
        if grey.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
            grey = interpolate(grey, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
        described: Tensor = self.features.body(grey)
        return described


def slerp(first: Latents, second: Latents, places: PerSample) -> Latents:
    """Unit vectors on the great circle between two latents' directions, at a fraction of the angle: the path in z.

    Both are normalized, because a normal latent's length carries nothing (section 4.1).

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
    """The face in an image aligned as in CelebA-HQ and FFHQ: rows 3/8 to 7/8, columns 2/8 to 6/8.

    Raises:
        ValueError: if the images are smaller than 8 pixels.
    """
    height, width = images.shape[-2:]
    if min(height, width) < 8:
        raise ValueError(f"images of {height} x {width} pixels are too small to crop a face, which is cut in eighths")
    return images[:, :, height // 8 * 3 : height // 8 * 7, width // 8 * 2 : width // 8 * 6]


def reduced(images: Images, *, largest: int = 256) -> Tensor:
    """Images averaged over boxes of whole pixels so that they are about `largest` high: LPIPS was made for 256 or less.

    Example:
        >>> [reduced(torch.zeros(1, 1, size, size)).shape[-1] for size in (1024, 512, 256, 32)]
        [256, 256, 256, 32]
    """
    factor = images.shape[-2] // largest
    return avg_pool2d(images, factor) if factor > 1 else images


def path_lengths(
    start: Images, end: Images, *, distance: Distance, epsilon: float, crop_faces: bool = False
) -> PerSample:
    """``d(start, end) / ε^2`` of pairs of images made from latents `epsilon` apart, with the same noise (equation 2).

    Args:
        start: images in about [-1, 1], neither clipped nor rounded.
        end: images a step further along the path.
        distance: of two images, growing with the square of their difference.
        epsilon: the step.
        crop_faces: look at the face alone, as the papers do on CelebA-HQ and FFHQ.

    Raises:
        ValueError: if the distance does not give one number per pair.
    """
    if crop_faces:
        start, end = crop_face(start), crop_face(end)
    apart = distance(reduced(start), reduced(end))
    if apart.numel() != len(start):
        raise ValueError(
            f"the distance {type(distance).__name__} gave shape {tuple(apart.shape)} for {len(start)} pairs of images; "
            "it must give one number per pair (torchmetrics' LPIPS does with reduction='none')"
        )
    return apart.reshape(-1) / epsilon**2


def mean_without_extremes(lengths: PerSample, *, share: float = 0.01) -> Scalar:
    """Mean of what lies between the two quantiles, in float64: a few pairs jump far, and would rule the mean.

    Args:
        lengths: of all pairs.
        share: left out below, and as much above; 0.01 in the authors' code. The quantiles are values of the set, and
            stay in it.

    Example:
        >>> mean_without_extremes(torch.tensor([0.0, 1.0, 2.0, 3.0, 400.0]), share=0.25).item()
        2.0
    """
    ordered = lengths.double().sort().values
    last = len(ordered) - 1
    lowest = int(share * last)  # rounded down, and its mirror image up
    return ordered[lowest : last - lowest + 1].mean()
