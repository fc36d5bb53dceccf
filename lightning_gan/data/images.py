"""The interface by which streams read images, and images in memory."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias, final

import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lightning_gan.data.value_range import value_range_of
from lightning_gan.tensors.fingerprints import fingerprint_of_tensor
from lightning_gan.tensors.shapes import Labels, StoredImages

ClassLabels: TypeAlias = Int[Tensor, " batch"]
"""One class index 0..K-1 per image, int64."""

Indices: TypeAlias = Int[Tensor, " batch"]
"""Numbers 0..N-1 of images in a data set."""

_PIXELS_POOLED_AT_ONCE = 2**24  # bounds the float copy that pooling needs to 64 MiB


@final
@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a source of images knows of where they come from: it is told before training and saved in checkpoints.

    Args:
        place: where the images come from, such as the name of a folder; empty if it is unknown.
        class_names: names of the classes; empty without classes, and if they are unknown.
        labels: where the labels come from, such as "from folders"; empty if it is unknown.
        remarks: what was left out or is unusual and is no error, for a person to read.
        fingerprints: what identifies the images, by what it is made of, such as "names of files". A resumed training
            compares those that the checkpoint has, too.
    """

    place: str = ""
    class_names: tuple[str, ...] = ()
    labels: str = ""
    remarks: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)


NOWHERE = Origin()
"""The origin of images of which nothing is known."""


class ImageSource(ABC):
    """A finite, numbered set of images of one size that can be read at several resolutions.

    A resolution is the height of the images in pixels; the width follows in proportion.

    It must be picklable, because every worker of a DataLoader gets its own copy.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @property
    @abstractmethod
    def labels(self) -> Labels | None:
        """The class of every image, int64, or one row of numbers for each, float32; None if they have no labels."""

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """The number of classes, or of numbers in a row; 0 without labels."""

    @property
    def origin(self) -> Origin:
        """Where the images come from. A source that knows nothing of it leaves this out."""
        return NOWHERE

    @property
    def is_in_memory(self) -> bool:
        """Whether images are copied out of this process's memory, without a file and without decoding.

        Then no process reads ahead unless a number of workers is given. A source that leaves this out is not in memory.
        """
        return False

    @abstractmethod
    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        """Reads the images at `indices`, in that order, `batch channels resolution width`: uint8, or float in [-1, 1].

        Args:
            indices: numbers of images, 0..len-1; repetitions are allowed.
            resolution: height of the result in pixels, the full height divided by a power of two, as is the width.
        """


def factor_between(size: int, resolution: int, *, width: int | None = None) -> int:
    """Returns ``size / resolution``: the pixels of the image that one pixel at `resolution` covers along each side.

    Args:
        size: full height of the image in pixels.
        resolution: height in pixels to read at.
        width: full width of the image in pixels; None is a square.

    Raises:
        ValueError: if the size is not `resolution` times a power of two, or this power does not divide the width.
    """
    factor = size // max(resolution, 1)
    wide = size if width is None else width
    if resolution < 1 or factor * resolution != size or not math.log2(factor).is_integer():
        raise ValueError(
            f"cannot read {wide}x{size} images at resolution {resolution}; "
            f"give a size that reaches {size} by doubling, such as {max(size // 2, 1)}"
        )
    if wide % factor:
        raise ValueError(
            f"cannot read {wide}x{size} images at resolution {resolution}, because the width cannot be divided by "
            f"{factor}; give an image_width that is a multiple of {factor}, such as {max(wide // factor, 1) * factor}"
        )
    return factor


@final
@dataclass(frozen=True, kw_only=True)
class PixelSize:
    """The height and the width of images in pixels; as a text, the width comes first.

    Args:
        height: height in pixels.
        width: width in pixels.

    Example:
        >>> size = PixelSize(height=64, width=96)
        >>> str(size), str(size.at(16)), size.halvings
        ('96x64', '24x16', [64, 32, 16, 8, 4, 2])
    """

    height: int
    width: int

    def at(self, resolution: int) -> "PixelSize":
        """Returns the size at a resolution, which is the height: both sides are divided by the same power of two.

        Raises:
            ValueError: if the sides are no multiples of a power of two that leads to this height.
        """
        factor = factor_between(self.height, resolution, width=self.width)
        return PixelSize(height=resolution, width=self.width // factor)

    @property
    def halvings(self) -> list[int]:
        """The height and its halves, as long as both sides are even, in descending order."""
        heights, width = [self.height], self.width
        while heights[-1] % 2 == 0 and width % 2 == 0:
            heights.append(heights[-1] // 2)
            width //= 2
        return heights

    @property
    def given_width(self) -> int | None:
        """The argument `image_width` of these images: None for squares."""
        return None if self.width == self.height else self.width

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def pixel_size(image_size: int, image_width: int | None = None) -> PixelSize:
    """Returns the size of images of two arguments.

    Args:
        image_size: height in pixels.
        image_width: width in pixels; None is a square.

    Raises:
        ValueError: if one is below 1.
    """
    if image_size < 1:
        raise ValueError(f"image_size={image_size} must be at least 1")
    if image_width is not None and image_width < 1:
        raise ValueError(f"image_width={image_width} must be at least 1; leave it out for squares")
    return PixelSize(height=image_size, width=image_size if image_width is None else image_width)


def box_mean(
    images: StoredImages, *, resolution: int
) -> (
    UInt8[Tensor, "batch channels {resolution} pooled_width"]
    | Float[Tensor, "batch channels {resolution} pooled_width"]
):
    """Reduces images by averaging: each pixel is the mean of the square of pixels that it covers.

    Means of bytes are rounded half up, and those of floats are not rounded.

    This is the average pooling with which growing GANs make lower resolutions (Karras et al. 2018, arXiv:1710.10196,
    section 2), in one step from the full size, so that values are rounded only once.

    Args:
        images: uint8 or float; their height is `resolution` times a power of two, which divides their width, too.
        resolution: height of the result in pixels.

    Raises:
        ValueError: if the size of the images is not that.

    Example:
        >>> box_mean(torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8), resolution=1).item()
        2
    """
    factor = factor_between(images.shape[-2], resolution, width=images.shape[-1])
    if factor == 1:
        return images
    if images.is_floating_point():
        # In double precision, so that the result does not depend on the order, which depends on the number of images.
        pattern = "batch channels (height fy) (width fx) -> batch channels height width"
        return reduce(images.double(), pattern, "mean", fy=factor, fx=factor).to(images.dtype)
    # float32 sums whole numbers exactly up to 2^24: 256 x 256 pixels of 255 still fit.
    mean = reduce(
        images.float(),
        "batch channels (height fy) (width fx) -> batch channels height width",
        "mean",
        fy=factor,
        fx=factor,
    )
    return (mean + 0.5).floor().to(torch.uint8)


@final
class MemoryImages(ImageSource):
    """Images in one tensor, with a pooled copy for every resolution that has been read.

    Args:
        images: uint8 images, `[image channels height width]`; with `value_range`, numbers of any type.
        labels: class index of every image, `[image]`, or a row of numbers for each, `[image numbers]`; None for images
            without labels.
        number_of_classes: number of classes; None means the highest label plus 1, or the length of a row.
        origin: where the images come from. If it has no fingerprints, the images are identified by their pixels.
        value_range: the lowest and the highest value, which become -1 and 1 of float images; None for bytes.

    Raises:
        ValueError: if the tensor is empty, or not uint8 without a range of values, or a value is outside of the range,
            or labels do not fit the images.
    """

    def __init__(
        self,
        *,
        images: Tensor,
        labels: Tensor | None,
        number_of_classes: int | None = None,
        origin: Origin = NOWHERE,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        values = value_range_of(value_range)
        if values is not None and images.ndim == 4 and not images.is_complex():
            images = torch.from_numpy(values.scaled(images.numpy()))
        wanted = torch.uint8 if values is None else torch.float32
        if images.dtype != wanted or images.ndim != 4 or images.numel() == 0:
            raise ValueError(
                f"images are {images.dtype} {tuple(images.shape)}; give uint8 [image channels height width], at least "
                "one, or a value_range for other numbers"
            )
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"{len(labels)} labels for {len(images)} images; give one class index per image")
        self._labels, found = _checked_labels(labels, number_of_classes=number_of_classes)
        self._number_of_classes = found if number_of_classes is None else number_of_classes
        self._pooled = {images.shape[-2]: images.contiguous()}
        self._size = images.shape[-2]
        self._origin = origin

    def __len__(self) -> int:
        return len(self._pooled[self._size])

    @property
    def labels(self) -> Labels | None:
        return self._labels

    @property
    def number_of_classes(self) -> int:
        return self._number_of_classes

    @property
    def is_in_memory(self) -> bool:
        return True

    @cached_property
    def origin(self) -> Origin:
        if self._origin.fingerprints:
            return self._origin
        return replace(self._origin, fingerprints={"pixels": fingerprint_of_tensor(self._pooled[self._size])})

    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        if resolution not in self._pooled:
            images = self._pooled[self._size]
            chunks = torch.split(images, max(_PIXELS_POOLED_AT_ONCE // images[0].numel(), 1))
            self._pooled[resolution] = torch.cat([box_mean(chunk, resolution=resolution) for chunk in chunks])
        return self._pooled[resolution][indices]


def _checked_labels(labels: Tensor | None, *, number_of_classes: int | None) -> tuple[Labels | None, int]:
    """Returns labels in their types, and how many classes they have at least.

    Raises:
        ValueError: if they do not fit the number of classes.
    """
    if labels is None:
        return None, 0
    if labels.ndim == 2:
        if number_of_classes not in (None, labels.shape[1]):
            raise ValueError(f"labels have {labels.shape[1]} columns for number_of_classes={number_of_classes}")
        return labels.float(), labels.shape[1]
    highest = int(labels.max())
    if number_of_classes is not None and highest >= number_of_classes:
        raise ValueError(f"label {highest} is outside 0..{number_of_classes - 1}; raise number_of_classes")
    return labels.long(), highest + 1


def grey_to_channels(
    images: UInt8[Tensor, "batch 1 height width"], *, channels: int
) -> UInt8[Tensor, "batch {channels} height width"]:
    """Returns grey images with their one channel repeated `channels` times."""
    return rearrange([images] * channels, "copies batch 1 height width -> batch copies height width")
