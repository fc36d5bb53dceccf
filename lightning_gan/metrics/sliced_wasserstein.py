"""Sliced Wasserstein distance of patches at each level of a Laplacian pyramid (Karras et al. 2018, arXiv:1710.10196).

As in section 5 of the PGGAN paper, each level of an image's Laplacian pyramid has the details of one size; the level of
16x16 pixels is the blurred image itself. Small patches of a level are points in 147 dimensions (7 x 7 pixels of 3
channels). The distance between two sets of points is the mean, over random directions, of the distance between their
projections.

The patches of each set are normalized per channel, so that brightness, contrast and tint have no effect. Only patches
have to be kept, not images: 0.5 MiB for a colour image of 1024 x 1024 pixels.
"""

from collections.abc import Iterator

import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import conv2d, normalize, pad

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, Images, Scalar

SMALLEST_LEVEL = 16
"""Height and width of the coarsest level in pixels."""

PATCH_SIZE = 7
"""Height and width of a patch in pixels."""


def _blurred(images: Images) -> Images:
    """Smooths images by the binomial filter [1, 4, 6, 4, 1] / 16 in both directions; the border is mirrored."""
    channels = images.shape[1]
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype, device=images.device) / 16
    kernel = torch.outer(taps, taps).expand(channels, 1, 5, 5)
    return conv2d(pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def _enlarged(images: Images) -> Tensor:
    """Doubles the size: inserts zeros between the pixels, and smooths the result by four times the filter."""
    batch, channels, height, width = images.shape
    spread = images.new_zeros(batch, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = images
    return _blurred(4 * spread)


def level_sides(height: int, width: int) -> list[int]:
    """Returns the shorter side of every level in pixels, from the image's own down to the last that is at least 16.

    Raises:
        ValueError: if the shorter side is less than 16 pixels, or a side cannot be halved exactly often enough.

    Example:
        >>> level_sides(128, 128)
        [128, 64, 32, 16]
    """
    side = min(height, width)
    if side < SMALLEST_LEVEL:
        raise ValueError(
            f"images of {height} x {width} pixels are too small for the sliced Wasserstein distance, whose levels have "
            f"at least {SMALLEST_LEVEL} pixels a side; use larger images"
        )
    levels = (side // SMALLEST_LEVEL).bit_length()
    factor = 2 ** (levels - 1)
    if height % factor or width % factor:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be halved {levels - 1} times for the sliced Wasserstein "
            f"distance; resize them to multiples of {factor}"
        )
    return [side >> level for level in range(levels)]


def laplacian_pyramid(images: Images) -> list[Tensor]:
    """Returns the details at every size, from the finest level on; the last level is the smoothed small image itself.

    Args:
        images: `batch channels height width`.

    Raises:
        ValueError: if the images are too small, or their sides cannot be halved.
    """
    levels = []
    for _ in level_sides(*images.shape[-2:])[1:]:
        smaller = _blurred(images)[:, :, ::2, ::2]
        levels.append(images - _enlarged(smaller))
        images = smaller
    return [*levels, images]


def image_of_pyramid(levels: list[Tensor]) -> Images:
    """Returns the images of which `laplacian_pyramid` made the levels."""
    *details, images = levels
    for detail in reversed(details):
        images = _enlarged(images) + detail
    return images


def patches(images: Images, positions: Int64[Tensor, " batch"], *, per_image: int = 128, seed: int = 0) -> Features:
    """Returns random 7 x 7 patches, those of one image in one row: `batch (per_image channels 7 7)`.

    The patches' places are a function of `seed` and of the image's position in its set; they do not depend on the
    batch.

    Args:
        images: `batch channels height width`.
        positions: position of each image in its set.
        per_image: number of patches of each image.
        seed: seed of the places.
    """
    height, width = (side - PATCH_SIZE + 1 for side in images.shape[-2:])
    corners = []
    for position in positions.tolist():
        generator = torch.Generator().manual_seed(derived_seed(seed, "patches", position))
        corners.append(torch.randint(height * width, (per_image,), generator=generator))
    places = torch.stack(corners).to(images.device)  # batch patches
    steps = torch.arange(PATCH_SIZE, device=images.device)
    rows = (places // width)[:, :, None, None] + steps[:, None]  # batch patches 7 1
    columns = (places % width)[:, :, None, None] + steps  # batch patches 1 7
    batch = torch.arange(len(images), device=images.device)[:, None, None, None]
    chosen = images.movedim(1, -1)[batch, rows, columns]  # batch patches 7 7 channels
    return rearrange(chosen, "batch patches y x channels -> batch (patches channels y x)")


def descriptors(
    images: Images, positions: Int64[Tensor, " batch"], *, per_image: int = 128, seed: int = 0
) -> list[Features]:
    """Returns the patches of every level of the images' pyramids, from the finest level on, in fp32.

    Args:
        images: `batch channels height width`, in any range that is the same for all images.
        positions: position of each image in its set; the patches' places are a function of it and of `seed`.
        per_image: number of patches of each image and level.
        seed: seed of the patches' places.

    Raises:
        ValueError: if the images are too small, or their sides cannot be halved.
    """
    levels = laplacian_pyramid(images.float())
    return [
        patches(level, positions, per_image=per_image, seed=derived_seed(seed, index))
        for index, level in enumerate(levels)
    ]


def normalized(described: Features, *, channels: int) -> Float[Tensor, "patches values"]:
    """Returns the patches of one set and level, one in each row, with mean 0 and variance 1 in each channel.

    Args:
        described: patches as `descriptors` returns them for a level.
        channels: number of channels of the images.
    """
    rows = rearrange(
        described, "batch (patches channels values) -> (batch patches) channels values", channels=channels,
        values=PATCH_SIZE**2,
    )  # fmt: skip
    mean = reduce(rows, "patches channels values -> channels 1", "mean")
    variance = reduce((rows - mean).square(), "patches channels values -> channels 1", "mean")
    # A channel without contrast gives zeros instead of a division by zero.
    rows = (rows - mean) / variance.sqrt().clamp(min=torch.finfo(rows.dtype).tiny)
    return rearrange(rows, "patches channels values -> patches (channels values)")


def _directions(dimensions: int, *, count: int, seed: int) -> Float[Tensor, "dimensions directions"]:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(dimensions, count, generator=generator), dim=0)


def _projections(points: Features, *, repeats: int, directions: int, seed: int) -> Iterator[Tensor]:
    """Yields sorted projections `[points directions]`, one repeat at a time to limit the memory."""
    for repeat in range(repeats):
        bundle = _directions(points.shape[1], count=directions, seed=derived_seed(seed, repeat))
        yield (points @ bundle.to(points)).sort(dim=0).values


def sliced_wasserstein(
    first: RealFeatures, second: FakeFeatures, *, repeats: int = 4, directions: int = 128, seed: int = 0
) -> Scalar:
    """Returns the mean absolute difference between the sorted projections of two sets onto random unit vectors.

    If one set is the other shifted by δ in n dimensions, the expected distance is
    ``|δ| Γ(n/2) / (sqrt(π) Γ((n+1)/2))``.

    Args:
        first: points, one in each row.
        second: points of the other set, as many as in `first`.
        repeats: number of sets of directions, which are used one after the other.
        directions: number of directions in each set.
        seed: seed of the directions.

    Raises:
        ValueError: if the sets differ in size.

    Example:
        >>> points = torch.tensor([[0.0], [1.0]])
        >>> sliced_wasserstein(points, points + 0.5).item()
        0.5
    """
    if len(first) != len(second):
        raise ValueError(f"the two sets need as many points each, but have {len(first)} and {len(second)}")
    pairs = zip(
        _projections(first, repeats=repeats, directions=directions, seed=seed),
        _projections(second, repeats=repeats, directions=directions, seed=seed),
        strict=True,
    )
    return torch.stack([(one - other).abs().mean() for one, other in pairs]).mean()


def patch_distance_x1000(
    first: RealFeatures, second: FakeFeatures, *, channels: int, repeats: int = 4, directions: int = 128, seed: int = 0
) -> float:
    """Returns the sliced Wasserstein distance of two sets' descriptors at one level, times 1,000 as in the papers.

    Args:
        first: descriptors of a level, one image in each row, as `descriptors` returns them.
        second: descriptors of as many images of the other set.
        channels: number of channels of the images.
        repeats: number of sets of directions, which are used one after the other.
        directions: number of directions in each set.
        seed: seed of the directions.

    Raises:
        ValueError: if the sets differ in size.
    """
    points = (normalized(described, channels=channels) for described in (first, second))
    return 1000 * sliced_wasserstein(*points, repeats=repeats, directions=directions, seed=seed).item()
