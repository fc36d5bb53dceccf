"""STL-10 (Coates, Ng & Lee 2011): 96x96 colour photographs, 100,000 of them without labels."""

from enum import Enum
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image

from lightning_gan.data.decoding import Resampling, resized
from lightning_gan.data.images import ImageSource, MemoryImages
from lightning_gan.data.torchvision_datasets import FetchedData, PublicDataset, channels_first

_FULL_SIZE = 96
_CLASSES = 10
_DATASET = PublicDataset(
    name="STL-10",
    host="ai.stanford.edu",
    by_hand="put stl10_binary.tar.gz there, which download: true then unpacks without a network",
)


class STL10Split(Enum):
    """The parts of STL-10."""

    unlabeled = "unlabeled"
    """100,000 images without labels, on which GANs are trained (Miyato et al. 2018, arXiv:1802.05957, section 4)."""

    train = "train"
    """5,000 images with labels."""

    test = "test"
    """8,000 other images with labels."""

    train_and_unlabeled = "train+unlabeled"
    """The 105,000 images of train and unlabeled; labels are not used."""


_LABELLED = (STL10Split.train, STL10Split.test)


@final
class STL10(FetchedData):
    """STL-10: photographs of 96x96 pixels, resized and kept in memory. SNGAN's paper and later ones use 48x48 pixels.

    Args:
        root: folder that contains `stl10_binary`, or into which it is downloaded.
        download: whether the data set (2.6 GB) is downloaded from ai.stanford.edu when it is missing.
        split: part of the data set: unlabeled, train, test or train_and_unlabeled.
        image_size: width and height of the images in pixels, at most 96. At 48, 32 and 24 a pixel is the mean of 2x2,
            3x3 and 4x4 pixels; sizes that do not divide 96 are resampled (Lanczos).
        labels: whether the networks get the ten classes; only train and test have labels.
        mirror: whether half of the training images are flipped left to right; SNGAN does not do this.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead; None means 0, because the images are in memory.
        resampling: how images are resized: box_or_lanczos, lanczos or bilinear.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if a number is out of range or the split has no labels; when it is opened, if the data set is
            missing.
    """

    dataset = _DATASET

    def __init__(
        self,
        *,
        root: str | Path = "data/stl10",
        download: bool = False,
        split: STL10Split = STL10Split.unlabeled,
        image_size: int = 48,
        labels: bool = False,
        mirror: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        number_of_workers: int | None = None,
        resampling: Resampling = Resampling.box_or_lanczos,
        dequantization_noise: float = 0.0,
    ) -> None:
        if not 1 <= image_size <= _FULL_SIZE:
            raise ValueError(f"image_size={image_size}: STL-10 has 96x96 pixels; give 96, 48 or another size below")
        if labels and split not in _LABELLED:
            raise ValueError(f"split {split.name} of STL-10 has no labels; set labels to false or split to train")
        super().__init__(
            image_size=image_size,
            image_channels=3,
            number_of_classes=_CLASSES if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            dequantization_noise=dequantization_noise,
        )
        self.root = Path(root).expanduser()
        self.download = download
        self.split = split
        self.resampling = resampling

    def open_source(self) -> ImageSource:
        opened = self.opened()
        images = opened.data.transpose(0, 2, 3, 1)  # image height width channels
        if self.image_size != _FULL_SIZE:
            size = (self.image_size, self.image_size)
            images = np.stack([np.asarray(resized(Image.fromarray(image), size, self.resampling)) for image in images])
        labels = torch.from_numpy(opened.labels).long() if self.split in _LABELLED else None
        return MemoryImages(
            images=channels_first(images), labels=labels, number_of_classes=0 if labels is None else _CLASSES
        )

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.STL10(self.root, split=self.split.value, download=download)
