"""Consistency regularization: a flip, a shift or a small change of the latent should not change the logits.

CR: Zhang et al. 2020, arXiv:1910.12027. bCR, zCR and ICR: Zhao et al. 2020, arXiv:2002.04724.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lightning_gan.tensors.draws_by_position import integers, uniform
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Scalar


def flip_and_shift(
    images: Images, *, flips: Bool[Tensor, " batch"], shifts: Int[Tensor, "batch 2"], largest_shift: int
) -> Images:
    """Flips some images and shifts each by its own whole numbers of pixels; borders are reflected.

    Args:
        images: `batch channels height width`, in any range.
        flips: whether each image is flipped left to right.
        shifts: shifts down and to the right in pixels, from -`largest_shift` to `largest_shift`.
        largest_shift: largest shift in pixels; less than the height and the width.

    Raises:
        ValueError: if an image is not larger than the shift.
    """
    _, channels, height, width = images.shape
    if largest_shift >= min(height, width):
        raise ValueError(
            f"largest_shift={largest_shift} pixels is too much for images of {height}x{width}; choose a smaller one"
        )
    rows = _reflected(torch.arange(height, device=images.device) - shifts[:, :1], size=height)  # batch height
    columns = _reflected(torch.arange(width, device=images.device) - shifts[:, 1:], size=width)  # batch width
    columns = torch.where(flips[:, None], width - 1 - columns, columns)
    moved = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return moved.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def _reflected(positions: Int[Tensor, "batch size"], *, size: int) -> Int[Tensor, "batch size"]:
    """Reflects positions from -(size - 1) to 2 (size - 1) at both ends, so that they are in 0 .. size - 1."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def randomly_flipped_and_shifted(images: Images, *, largest_shift: int) -> Images:
    """The papers' transform: flips half of the images, and shifts each by up to `largest_shift` pixels per axis.

    Args:
        images: `batch channels height width`, in any range.
        largest_shift: largest shift in pixels; less than the height and the width.

    Raises:
        ValueError: for images of one pixel, which no flip or shift changes, or not larger than the shift.
    """
    if images.shape[2:].numel() == 1:
        raise ValueError(
            f"randomly_flipped_and_shifted: images of shape {tuple(images.shape)} have one pixel, which no flip or "
            "shift changes; give images as batch channels height width"
        )
    count, device = len(images), images.device
    flips = uniform((count,), device=device) < 0.5
    shifts = integers(-largest_shift, largest_shift + 1, (count, 2), device=device)
    return flip_and_shift(images, flips=flips, shifts=shifts, largest_shift=largest_shift)


def mean_squared_difference(first: Float[Tensor, "*shape"], second: Float[Tensor, "*shape"]) -> Scalar:
    """Returns ``E (first - second)^2`` over all elements, in fp32; gradients flow into both.

    Example:
        >>> mean_squared_difference(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0])).item()
        5.0
    """
    return (full_precision(first) - full_precision(second)).square().mean()
