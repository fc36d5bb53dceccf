"""Random squares or rectangles out of larger images, as pure functions of (seed, position)."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias, final

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from lightning_gan.data.images import ImageSource, Indices, Origin, PixelSize, box_mean, pixel_size
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Labels, StoredImages

Places: TypeAlias = Float64[Tensor, "batch 2"]
"""Where images are cut out, down and to the right: shares in [0, 1) of the possible places. 0.5 is the centre."""

Whole: TypeAlias = UInt8[Tensor, "channels height width"] | Float[Tensor, "channels height width"]
"""One image from which a smaller one is cut."""


def places_at(position: int, *, count: int, seed: int) -> Places:
    """Returns where the images of the global batch at `position` are cut, uniformly distributed.

    Args:
        position: number of images seen before the batch.
        count: number of images in the batch.
        seed: seed of the crops.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "crop", position))
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


def offset_at(place: float, *, length: int, size: int) -> int:
    """Returns the first row (or column) of a part: ``floor(place (length - size + 1))``.

    Uniform places in [0, 1) give each of the ``length - size + 1`` offsets with the same probability.

    Args:
        place: share of the possible places, in [0, 1).
        length: height (or width) of the image in pixels.
        size: height (or width) of the part in pixels, at most `length`.

    Example:
        >>> [offset_at(place, length=72, size=64) for place in (0.0, 0.5, 0.999)]
        [0, 4, 8]
    """
    return int(place * (length - size + 1))


def size_to_read(*, image_size: int, random_crop_from: int | None, image_width: int | None = None) -> int:
    """Returns the height in pixels at which images are read before those of `image_size` are cut out.

    Args:
        image_size: height of the images in pixels, and their width if `image_width` is None.
        random_crop_from: height in pixels of the larger images, whose width has the same ratio; None cuts nothing.
        image_width: width of the images in pixels; None is a square.

    Raises:
        ValueError: if the larger images are smaller, or their width would not be a whole number.
    """
    if random_crop_from is None:
        return image_size
    if random_crop_from < image_size:
        raise ValueError(
            f"random_crop_from={random_crop_from} is smaller than image_size={image_size}; "
            f"give at least {image_size}, or leave it out for no random crops"
        )
    if image_width is not None and random_crop_from * image_width % image_size:
        step = image_size // math.gcd(image_size, image_width)
        raise ValueError(
            f"random_crop_from={random_crop_from} has no whole width in the proportions of {image_width}x{image_size} "
            f"pixels; give a multiple of {step}, such as {-(-random_crop_from // step) * step}"
        )
    return random_crop_from


def larger(size: PixelSize, height: int) -> PixelSize:
    """Returns the size of the larger images of this height, with the same proportions."""
    return PixelSize(height=height, width=height * size.width // size.height)


@final
class RandomCrops(ImageSource):
    """Squares or rectangles out of larger images. A training stream chooses their places; `read` cuts the central ones.

    Args:
        source: the images, for their number and their labels.
        whole: function from numbers of images to these images at their larger size; their sizes may differ.
        size: height in pixels of what is cut out.
        width: width in pixels of what is cut out; None is a square.
    """

    def __init__(
        self, *, source: ImageSource, whole: Callable[[Indices], Iterable[Whole]], size: int, width: int | None = None
    ) -> None:
        self._source = source
        self._whole = whole
        self._size = pixel_size(size, width)

    def __len__(self) -> int:
        return len(self._source)

    @property
    def labels(self) -> Labels | None:
        return self._source.labels

    @property
    def origin(self) -> Origin:
        return self._source.origin

    @property
    def number_of_classes(self) -> int:
        return self._source.number_of_classes

    @property
    def is_in_memory(self) -> bool:
        return self._source.is_in_memory

    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        return self.cut(indices, places=torch.full((len(indices), 2), 0.5, dtype=torch.float64), resolution=resolution)

    def cut(self, indices: Indices, *, places: Places, resolution: int) -> StoredImages:
        """Reads the images at `indices` and cuts one out of each.

        Args:
            indices: numbers of images, 0..len-1.
            places: where each is cut.
            resolution: height of the result in pixels, that of what is cut out divided by a power of two.
        """
        pairs = zip(self._whole(indices), places.tolist(), strict=True)
        parts = [self._part(image, down=down, right=right) for image, (down, right) in pairs]
        return box_mean(torch.stack(parts), resolution=resolution)

    def _part(
        self, image: Whole, *, down: float, right: float
    ) -> (
        UInt8[Tensor, "channels {self._size.height} {self._size.width}"]
        | Float[Tensor, "channels {self._size.height} {self._size.width}"]
    ):
        height, width = self._size.height, self._size.width
        top = offset_at(down, length=image.shape[1], size=height)
        left = offset_at(right, length=image.shape[2], size=width)
        return image[:, top : top + height, left : left + width]


def crops_of_images(source: ImageSource, *, larger_size: int, size: int, width: int | None = None) -> RandomCrops:
    """Returns squares or rectangles out of the larger images of a source.

    Args:
        source: images of the height `larger_size`.
        larger_size: full height of these images in pixels.
        size: height in pixels of what is cut out.
        width: width in pixels of what is cut out; None is a square.
    """
    return RandomCrops(source=source, whole=partial(source.read, resolution=larger_size), size=size, width=width)
