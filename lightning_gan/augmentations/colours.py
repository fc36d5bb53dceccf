"""Transformations of colours as 4x4 matrices (Karras et al. 2020, arXiv:2006.06676, appendix B).

A matrix maps ``(red, green, blue, 1)`` of a pixel. The luma axis is ``v = (1, 1, 1) / sqrt(3)``. Saturation, hue and
luma flip keep or mirror the grey axis.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.shapes import FakeImages, PerSample

Matrices = Float[Tensor, "batch 4 4"]


def brightness(offset: PerSample) -> Matrices:
    """Matrices that add a number to all channels.

    Args:
        offset: number that is added; images are in [-1, 1].
    """
    matrices = _identity(offset).clone()
    matrices[:, :3, 3] = offset[:, None]
    return matrices


def contrast(factor: PerSample) -> Matrices:
    """Matrices that multiply all channels by a factor. Grey, which is 0, stays."""
    return _linear(factor[:, None, None] * torch.eye(3, dtype=factor.dtype, device=factor.device))


def luma_flip(flips: PerSample) -> Matrices:
    """Matrices that mirror the luma where `flips` is 1, ``I - 2 v v^T``, and that do nothing where it is 0.

    Example:
        >>> white = torch.tensor([1.0, 1.0, 1.0, 1.0])
        >>> (luma_flip(torch.ones(1))[0] @ white).round(decimals=5).tolist()
        [-1.0, -1.0, -1.0, 1.0]
    """
    grey = _grey_axis(flips)
    return _linear(_identity(flips)[:, :3, :3] - 2 * flips[:, None, None] * grey)


def hue_rotation(angle: PerSample) -> Matrices:
    """Matrices that rotate colours about the luma axis (Rodrigues' formula).

    Args:
        angle: angle in radians; ``2 pi / 3`` permutes the channels.
    """
    grey, (sine, cosine) = _grey_axis(angle), (angle.sin()[:, None, None], angle.cos()[:, None, None])
    third = 3.0**-0.5
    cross = torch.tensor(
        [[0.0, -third, third], [third, 0.0, -third], [-third, third, 0.0]], dtype=angle.dtype, device=angle.device
    )
    return _linear(cosine * (torch.eye(3, dtype=angle.dtype, device=angle.device) - grey) + grey + sine * cross)


def saturation(factor: PerSample) -> Matrices:
    """Matrices that multiply what is not grey by a factor, ``v v^T + (I - v v^T) s``; 0 leaves the mean channel."""
    grey = _grey_axis(factor)
    return _linear(grey + (torch.eye(3, dtype=factor.dtype, device=factor.device) - grey) * factor[:, None, None])


def recoloured(images: FakeImages, matrices: Float[Tensor, "fakes 4 4"]) -> FakeImages:
    """Images whose pixels are mapped by one matrix each.

    Images of one channel get the mean of the three rows, so that hue and saturation have no effect on them.

    Args:
        images: `batch channels height width` with 1 or 3 channels, in about [-1, 1].
        matrices: matrices of colours.

    Raises:
        ValueError: for another number of channels, of which the luma axis is not known.
    """
    channels = images.shape[1]
    if channels == 1:
        rows = matrices[:, :3].mean(1)  # batch 4
        return images * rows[:, :3].sum(1)[:, None, None, None] + rows[:, 3][:, None, None, None]
    if channels != 3:
        raise ValueError(
            f"colour augmentation is for images of 1 or 3 channels, not of {channels}; leave colours out: "
            "groups=AugmentationGroups(colour=0.0), which is --AdaptiveAugmentation.groups.colour 0 or "
            "--Augmentation.groups.colour 0 on the command line"
        )
    mixed = matrices[:, :3, :3] @ images.flatten(2) + matrices[:, :3, 3:]
    return mixed.view_as(images)


def _identity(numbers: Tensor) -> Tensor:
    return torch.eye(4, dtype=numbers.dtype, device=numbers.device).expand(len(numbers), 4, 4)


def _grey_axis(numbers: Tensor) -> Tensor:
    """The projection on the luma axis, ``v v^T``."""
    return torch.full((3, 3), 1 / 3, dtype=numbers.dtype, device=numbers.device)


def _linear(blocks: Tensor) -> Tensor:
    """4x4 matrices of 3x3 ones."""
    matrices = _identity(blocks[:, 0, 0]).clone()
    matrices[:, :3, :3] = blocks
    return matrices
