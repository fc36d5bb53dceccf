"""Differentiable augmentation, DiffAugment (Zhao et al. 2020, arXiv:2006.10738)."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lightning_gan.tensors.draws_by_position import integers, uniform
from lightning_gan.tensors.shapes import FakeImages, PerSample

TRANSLATION = 0.125
"""Largest shift, in parts of the image."""
CUTOUT = 0.5
"""Width and height of the rectangle of zeros, in parts of the image."""


def brightened(images: FakeImages, offset: PerSample) -> FakeImages:
    """Images plus a number each.

    Args:
        images: images in about [-1, 1], `batch channels height width`.
        offset: number that is added, one for each image.
    """
    return images + offset[:, None, None, None]


def saturated(images: FakeImages, factor: PerSample) -> FakeImages:
    """Images whose channels' difference to their mean is multiplied by a factor; 0 makes grey.

    Args:
        images: `batch channels height width`.
        factor: one factor for each image.
    """
    return _spread(images, factor, mean=lambda own: own.mean(1, keepdim=True))


def contrasted(images: FakeImages, factor: PerSample) -> FakeImages:
    """Images whose difference to the mean over all pixels and channels is multiplied by a factor.

    Args:
        images: `batch channels height width`.
        factor: one factor for each image.
    """
    return _spread(images, factor, mean=lambda own: own.mean((1, 2, 3), keepdim=True))


def _spread(images: Tensor, factor: Tensor, *, mean: Callable[[Tensor], Tensor]) -> Tensor:
    centre = mean(images)
    return (images - centre) * factor[:, None, None, None] + centre


def shifted(images: FakeImages, shifts: Int[Tensor, "fakes 2"]) -> FakeImages:
    """Images moved by whole pixels. Zeros come in from outside.

    Args:
        images: `batch channels height width`.
        shifts: shifts down and to the right in pixels, one row for each image.
    """
    _, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device) - shifts[:, :1]  # batch height
    columns = torch.arange(width, device=images.device) - shifts[:, 1:]  # batch width
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    moved = images.gather(2, rows.clamp(0, height - 1)[:, None, :, None].expand(-1, channels, -1, width))
    moved = moved.gather(3, columns.clamp(0, width - 1)[:, None, None, :].expand(-1, channels, height, -1))
    return moved * inside[:, None]


def with_cutout(images: FakeImages, centres: Int[Tensor, "fakes 2"], *, height: int, width: int) -> FakeImages:
    """Images with a rectangle of zeros, cut off at the borders.

    Args:
        images: `batch channels height width`.
        centres: row and column of the rectangle's centre, one row of numbers for each image; of two middle pixels, the
            second.
        height: height of the rectangle in pixels.
        width: width of the rectangle in pixels.
    """
    inside = [
        _within(torch.arange(pixels, device=images.device) - centres[:, axis : axis + 1] + size // 2, size)
        for axis, (pixels, size) in enumerate(zip(images.shape[2:], (height, width), strict=True))
    ]
    return images * ~(inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def _within(positions: Int[Tensor, "batch size"], end: int) -> Tensor:
    return (positions >= 0) & (positions < end)


def differentiably_augmented(
    images: FakeImages, *, colour: bool = True, shift: bool = True, cutout: bool = True
) -> FakeImages:
    """The paper's transform of all images, each with its own random numbers (section 4, appendix A).

    Brightness ``+U(-0.5, 0.5)``, saturation ``U(0, 2)``, contrast ``U(0.5, 1.5)``, shifts by up to an eighth of the
    image, and a rectangle of zeros of half of the width and height, whose centre is anywhere.

    Args:
        images: images in about [-1, 1], `batch channels height width`.
        colour: whether brightness, saturation and contrast are changed.
        shift: whether images are moved.
        cutout: whether a rectangle is set to 0.
    """
    count, _, height, width = images.shape
    if colour:
        numbers: Float[Tensor, "fakes 3"] = uniform((count, 3), dtype=images.dtype, device=images.device)
        images = brightened(images, numbers[:, 0] - 0.5)
        images = saturated(images, 2 * numbers[:, 1])
        images = contrasted(images, numbers[:, 2] + 0.5)
    if shift:
        largest = [_rounded(size * TRANSLATION) for size in (height, width)]
        images = shifted(images, _integers(images, [(-most, most + 1) for most in largest]))
    if cutout:
        tall, wide = _rounded(height * CUTOUT), _rounded(width * CUTOUT)
        centres = _integers(images, [(0, height + (1 - tall % 2)), (0, width + (1 - wide % 2))])
        images = with_cutout(images, centres, height=tall, width=wide)
    return images


def _rounded(number: float) -> int:
    return int(number + 0.5)


def _integers(images: Tensor, ranges: list[tuple[int, int]]) -> Int[Tensor, "batch ranges"]:
    drawn = [integers(low, high, (len(images), 1), device=images.device) for low, high in ranges]
    return torch.cat(drawn, dim=1)
