"""The interface by which streams read images, and images in memory."""

import math
from abc import ABC, abstractmethod
from typing import TypeAlias, final

import torch
from einops import rearrange, reduce
from jaxtyping import Int, UInt8
from torch import Tensor

from lightning_gan.tensors.shapes import ImageBytes

ClassLabels: TypeAlias = Int[Tensor, " batch"]
"""One class index 0..K-1 per image, int64."""

Indices: TypeAlias = Int[Tensor, " batch"]
"""Numbers 0..N-1 of images in a data set."""

_PIXELS_POOLED_AT_ONCE = 2**24  # bounds the float copy that pooling needs to 64 MiB


class ImageSource(ABC):
    """A finite, numbered set of square images that can be read at several resolutions.

    It must be picklable, because every worker of a DataLoader gets its own copy.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @property
    @abstractmethod
    def labels(self) -> ClassLabels | None:
        """The class of every image, int64, or None if the images have no classes."""

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """The number of classes, 0 without labels."""

    @abstractmethod
    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        """Reads the images at `indices`, in that order, uint8, `batch channels resolution resolution`.

        Args:
            indices: numbers of images, 0..len-1; repetitions are allowed.
            resolution: width and height of the result in pixels, the full size divided by a power of two.
        """


def factor_between(size: int, resolution: int) -> int:
    """Returns ``size / resolution``: the pixels of the image that one pixel at `resolution` covers along each side.

    Args:
        size: full width of the image in pixels.
        resolution: width in pixels to read at.

    Raises:
        ValueError: if the size is not `resolution` times a power of two.
    """
    factor = size // max(resolution, 1)
    if resolution < 1 or factor * resolution != size or not math.log2(factor).is_integer():
        raise ValueError(
            f"cannot read {size}x{size} images at resolution {resolution}; "
            f"give a size that reaches {size} by doubling, such as {max(size // 2, 1)}"
        )
    return factor


def box_mean(images: ImageBytes, *, resolution: int) -> UInt8[Tensor, "batch channels {resolution} {resolution}"]:
    """Reduces images by averaging: each pixel is the mean of the square of pixels that it covers, rounded half up.

    This is the average pooling with which growing GANs make lower resolutions (Karras et al. 2018, arXiv:1710.10196,
    section 2), in one step from the full size, so that values are rounded only once.

    Args:
        images: uint8, square; their width is `resolution` times a power of two.
        resolution: width and height of the result in pixels.

    Raises:
        ValueError: if the size of the images is not `resolution` times a power of two.

    Example:
        >>> box_mean(torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8), resolution=1).item()
        2
    """
    factor = factor_between(images.shape[-1], resolution)
    if factor == 1:
        return images
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
    """Images in one uint8 tensor, with a pooled copy for every resolution that has been read.

    Args:
        images: uint8 images, `[image channels size size]`.
        labels: class index of every image, `[image]`; None for images without classes.
        number_of_classes: number of classes; None means the highest label plus 1.

    Raises:
        ValueError: if the tensor is not uint8, not square or empty, or labels do not fit the images.
    """

    def __init__(self, *, images: Tensor, labels: Tensor | None, number_of_classes: int | None = None) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3] or len(images) == 0:
            raise ValueError(
                f"images are {images.dtype} {tuple(images.shape)}; give uint8 [image channels size size], at least one"
            )
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"{len(labels)} labels for {len(images)} images; give one class index per image")
        highest = -1 if labels is None else int(labels.max())
        if number_of_classes is not None and highest >= number_of_classes:
            raise ValueError(f"label {highest} is outside 0..{number_of_classes - 1}; raise number_of_classes")
        self._labels = None if labels is None else labels.long()
        self._number_of_classes = highest + 1 if number_of_classes is None else number_of_classes
        self._pooled = {images.shape[-1]: images.contiguous()}
        self._size = images.shape[-1]

    def __len__(self) -> int:
        return len(self._pooled[self._size])

    @property
    def labels(self) -> ClassLabels | None:
        return self._labels

    @property
    def number_of_classes(self) -> int:
        return self._number_of_classes

    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        if resolution not in self._pooled:
            images = self._pooled[self._size]
            chunks = torch.split(images, max(_PIXELS_POOLED_AT_ONCE // images[0].numel(), 1))
            self._pooled[resolution] = torch.cat([box_mean(chunk, resolution=resolution) for chunk in chunks])
        return self._pooled[resolution][indices]


def grey_to_channels(
    images: UInt8[Tensor, "batch 1 height width"], *, channels: int
) -> UInt8[Tensor, "batch {channels} height width"]:
    """Returns grey images with their one channel repeated `channels` times."""
    return rearrange([images] * channels, "copies batch 1 height width -> batch copies height width")
