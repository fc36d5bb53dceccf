"""Affine transformations of images as matrices, and one resampling for all of them (Karras et al. 2020, appendix B).

Coordinates are pixels (x to the right, y down) from the centre of the image. A transformation is given by its inverse,
``batch 3 3``, which maps a point of the transformed image to the point of the image that is seen there. The inverse of
"first A, then B" is ``inverse(A) @ inverse(B)``.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lightning_gan.augmentations.wavelets import SYM6_CENTRE
from lightning_gan.tensors.shapes import FakeImages

MARGIN = 6
"""Number of samples beyond each border, at twice the resolution, that are kept as they were interpolated."""
HALF = 6
"""Half of the number of taps of the low-pass filter, and the number of pixels beyond the border that it needs."""
CENTRE = SYM6_CENTRE - HALF + 1
"""Place of the first pixel's centre at twice the resolution. That of pixel k is 2 k further."""


def scaling(x: Tensor, y: Tensor) -> Float[Tensor, "batch 3 3"]:
    """Matrices that multiply coordinates.

    Args:
        x: factors of the horizontal coordinate, `batch`.
        y: factors of the vertical coordinate, `batch`.
    """
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrices([x, zero, zero, zero, y, zero, zero, zero, one])


def rotation(angle: Tensor) -> Float[Tensor, "batch 3 3"]:
    """Matrices that rotate coordinates.

    Args:
        angle: angles in radians, `batch`; from the x axis to the y axis.
    """
    return _turns(angle.sin(), angle.cos())


def quarter_turns(quarters: Tensor) -> Float[Tensor, "batch 3 3"]:
    """Matrices that rotate coordinates by multiples of 90 degrees, of whole numbers without rounding.

    Args:
        quarters: numbers of quarter turns, `batch`, whole numbers; from the x axis to the y axis.
    """
    left = quarters.remainder(4)
    sine, cosine = ((left == one).to(quarters) - (left == other).to(quarters) for one, other in ((1, 3), (0, 2)))
    return _turns(sine, cosine)


def translation(x: Tensor, y: Tensor) -> Float[Tensor, "batch 3 3"]:
    """Matrices that shift coordinates.

    Args:
        x: shifts to the right in pixels, `batch`.
        y: shifts down in pixels, `batch`.
    """
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrices([one, zero, x, zero, one, y, zero, zero, one])


def _turns(sine: Tensor, cosine: Tensor) -> Float[Tensor, "batch 3 3"]:
    zero, one = torch.zeros_like(sine), torch.ones_like(sine)
    return _matrices([cosine, -sine, zero, sine, cosine, zero, zero, zero, one])


def _matrices(entries: list[Tensor]) -> Float[Tensor, "batch 3 3"]:
    return rearrange(torch.stack(entries, dim=-1), "batch (row column) -> batch row column", row=3)


def blitted(images: FakeImages, inverse: Float[Tensor, "fakes 3 3"]) -> FakeImages:
    """Images under flips, quarter turns and shifts by whole pixels, which copy pixels. What lies outside is reflected.

    A quarter turn of an image whose height and width differ by an odd number of pixels is shifted by half a pixel.

    Args:
        images: `batch channels height width`.
        inverse: inverse transformations in pixels from the image's centre.
    """
    channels, height, width = images.shape[1:]
    rows, columns = (torch.arange(size, device=images.device, dtype=images.dtype) for size in (height, width))
    x, y = _sources(inverse, rows=rows, columns=columns, height=height, width=width)
    x, y = (reflected(along.floor(), last=size - 1) for along, size in ((x, width), (y, height)))
    places = (y * width + x).long()[:, None].expand(-1, channels, -1)
    return images.flatten(2).gather(2, places).view_as(images)


def warped(images: FakeImages, inverse: Float[Tensor, "fakes 3 3"], *, low_pass: Float[Tensor, " taps"]) -> FakeImages:
    """Images under affine transformations, resampled at twice their resolution. What lies outside is reflected.

    The images are interpolated to twice the resolution with an orthogonal wavelet's low-pass filter, sampled there
    bilinearly, and reduced with the same filter. The identity and shifts by whole pixels are therefore exact up to
    rounding. The authors pad by as much as the largest transformation of the batch needs, which waits for the device,
    and by one image size at most. Here coordinates are reflected instead, any number of times.

    It can be differentiated any number of times with respect to the images. Its double backward is why the bilinear
    sampling is written out: that of `torch.nn.functional.grid_sample` has no derivative.

    Args:
        images: `batch channels height width`, at least 2 pixels per side.
        inverse: inverse transformations in pixels from the image's centre.
        low_pass: the filter `wavelets.sym6`, 12 taps with the sum 1, on the images' device.

    Raises:
        ValueError: for images of less than 2 pixels per side.
    """
    height, width = images.shape[2:]
    if min(height, width) < 2:
        raise ValueError(f"images of {height}x{width} pixels cannot be warped; leave geometry out (0)")
    taps = low_pass.to(images.dtype)
    fine = _interpolation(taps, size=height).T @ images @ _interpolation(taps, size=width)
    rows, columns = (
        (torch.arange(1 - HALF, 2 * size + HALF - 1, device=images.device, dtype=images.dtype) - CENTRE) / 2
        for size in (height, width)
    )
    x, y = _sources(inverse, rows=rows, columns=columns, height=height, width=width)
    x, y = (_inside(2 * along + CENTRE, size=size) for along, size in ((x, width), (y, height)))
    sampled = _bilinear(fine, x + MARGIN, y + MARGIN)
    sampled = rearrange(sampled, "batch channels (row column) -> batch channels row column", row=len(rows))
    return _reduction(taps, size=height).T @ sampled @ _reduction(taps, size=width)


def _sources(inverse: Tensor, *, rows: Tensor, columns: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the points of a grid come from: columns and rows in pixels from the first one, `batch points` each."""
    points = torch.stack(
        [
            (columns - (width - 1) / 2).expand(len(rows), -1),
            (rows - (height - 1) / 2)[:, None].expand(-1, len(columns)),
        ]
    ).flatten(1)
    sources = inverse[:, :2, :2] @ points + inverse[:, :2, 2:]  # batch 2 points
    return sources[:, 0] + (width - 1) / 2, sources[:, 1] + (height - 1) / 2


def _interpolation(taps: Tensor, *, size: int) -> Float[Tensor, "size fine"]:
    """The matrix from a row of pixels to one of twice the resolution, with `MARGIN` more samples on each side.

    Products with matrices take a quarter of the time of convolutions of single channels (64 pixels, on a CPU).
    """
    pixels = torch.arange(-HALF, size + HALF, device=taps.device)
    samples = torch.arange(-MARGIN, 2 * size + MARGIN, device=taps.device)
    padding = torch.eye(size, dtype=taps.dtype, device=taps.device)[:, reflected(pixels, last=size - 1)]
    return padding @ (2 * _taps_at(taps, samples - 2 * pixels[:, None]))


def _reduction(taps: Tensor, *, size: int) -> Float[Tensor, "fine size"]:
    """The matrix from a row of twice the resolution to one of `size` pixels."""
    samples = torch.arange(1 - HALF, 2 * size + HALF - 1, device=taps.device)
    return _taps_at(taps, samples[:, None] - 2 * torch.arange(size, device=taps.device))


def _taps_at(taps: Tensor, distances: Tensor) -> Tensor:
    """The taps for distances of a sample from a pixel's first one, from 1 - `HALF` to `HALF`; 0 for all others."""
    places = distances + HALF - 1
    return torch.where((places >= 0) & (places < 2 * HALF), taps[places.clamp(0, 2 * HALF - 1)], 0)


def _inside(positions: Tensor, *, size: int) -> Tensor:
    """Reflects positions at twice the resolution that are beyond the margin at the centres of the border pixels."""
    mirrored = reflected(positions - CENTRE, last=2 * size - 2) + CENTRE
    return torch.where((positions < -MARGIN) | (positions > 2 * size - 1 + MARGIN), mirrored, positions)


def _bilinear(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The values of images `batch channels height width` at positions `batch points`: `batch channels points`."""
    channels, height, width = images.shape[1:]
    left, top = x.floor().clamp(0, width - 2), y.floor().clamp(0, height - 2)
    right_part, lower_part = (x - left)[:, None], (y - top)[:, None]
    first = (top * width + left).long()[:, None]
    flat = images.flatten(2)

    def at(offset: int) -> Tensor:
        return flat.gather(2, (first + offset).expand(-1, channels, -1))

    upper = at(0) * (1 - right_part) + at(1) * right_part
    lower = at(width) * (1 - right_part) + at(width + 1) * right_part
    return upper * (1 - lower_part) + lower * lower_part


def reflected(positions: Tensor, *, last: int) -> Tensor:
    """Positions reflected at 0 and at `last`, as often as needed.

    Example:
        >>> reflected(torch.arange(-2, 8), last=3).tolist()
        [2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    """
    if last == 0:
        return torch.zeros_like(positions)
    around = positions.remainder(2 * last)
    return torch.minimum(around, 2 * last - around)


def reflect_padded(images: FakeImages, *, pixels: int) -> Float[Tensor, "fakes channels tall wide"]:
    """Images with reflected borders, of any width, also wider than the image.

    Args:
        images: `batch channels height width`.
        pixels: width of the border.
    """
    height, width = images.shape[2:]
    rows, columns = (
        reflected(torch.arange(-pixels, size + pixels, device=images.device), last=size - 1) for size in (height, width)
    )
    return images.index_select(2, rows).index_select(3, columns)
