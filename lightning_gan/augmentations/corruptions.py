"""Filtering of frequency bands, and the cutout of a rectangle (Karras et al. 2020, arXiv:2006.06676, appendix B)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv2d

from lightning_gan.augmentations.warping import reflect_padded
from lightning_gan.tensors.shapes import FakeImages

EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Power of natural images in the four bands, from the lowest frequencies on: the spectrum is about 1/f."""


def normalized_gains(gains: Float[Tensor, "batch bands"]) -> Float[Tensor, "batch bands"]:
    """Gains of the bands, divided so that the expected power of the image stays: ``g / sqrt(sum power g^2)``.

    Example:
        >>> normalized_gains(torch.tensor([[2.0, 1.0, 1.0, 1.0]]))
        tensor([[1.0997, 0.5498, 0.5498, 0.5498]])
    """
    power = torch.tensor(EXPECTED_POWER, dtype=gains.dtype, device=gains.device)
    return gains / (gains.square() * power).sum(1, keepdim=True).sqrt()


def band_filtered(
    images: FakeImages, gains: Float[Tensor, "fakes bands"], *, bank: Float[Tensor, "bands taps"]
) -> FakeImages:
    """Images whose frequency bands are multiplied by gains, along both axes; borders are reflected.

    Args:
        images: `batch channels height width`.
        gains: gains of the bands, from the lowest frequencies on.
        bank: filters of the bands, `wavelets.filter_bank`, on the images' device.
    """
    count, channels, height, width = images.shape
    taps = gains.to(images.dtype) @ bank.to(images.dtype)  # batch taps
    taps = taps.repeat_interleave(channels, 0)
    padded = reflect_padded(images, pixels=bank.shape[1] // 2).flatten(0, 1)[None]
    along = conv2d(padded, taps[:, None, None, :], groups=count * channels)
    return conv2d(along, taps[:, None, :, None], groups=count * channels).view(count, channels, height, width)


def cut_out(
    images: FakeImages, centres: Float[Tensor, "fakes 2"], *, size: float, chosen: Bool[Tensor, " fakes"]
) -> FakeImages:
    """Images with a rectangle of zeros, which may lie partly outside.

    Args:
        images: `batch channels height width`.
        centres: centres of the rectangles (x, y), in parts of the width and of the height.
        size: width and height of the rectangles, in parts of those of the image.
        chosen: images that get a rectangle, `batch`, booleans.
    """
    height, width = images.shape[2:]
    x, y = (
        (torch.arange(pixels, device=images.device, dtype=images.dtype) + 0.5) / pixels for pixels in (width, height)
    )
    outside_x = (x - centres[:, :1]).abs() >= size / 2  # batch width
    outside_y = (y - centres[:, 1:]).abs() >= size / 2  # batch height
    kept = outside_y[:, :, None] | outside_x[:, None, :] | ~chosen[:, None, None]
    return images * kept[:, None]
