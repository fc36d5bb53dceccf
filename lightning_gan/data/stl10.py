"""STL-10 (Coates, Ng & Lee 2011): 96x96 colour photographs, 100,000 of them without labels."""

from enum import Enum
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image

from lightning_gan.data.images import ImageSource, MemoryImages
from lightning_gan.data.torchvision_datasets import FetchedData, PublicDataset, channels_first, resized

_FULL_SIZE = 96
_CLASSES = 10
_DATASET = PublicDataset(
    name="STL-10",
    host="ai.stanford.edu",
    by_hand="put stl10_binary.tar.gz there, which download: true then unpacks without a network",
)


class STL10Split(Enum):
    """Which images."""

    unlabeled = "unlabeled"
    """100,000 without labels, on which GANs are trained (Miyato et al. 2018, arXiv:1802.05957, section 4)."""

    train = "train"
    """5,000 with labels."""

    test = "test"
    """8,000 others with labels."""

    train_and_unlabeled = "train+unlabeled"
    """105,000, of which labels are not used."""


_LABELLED = (STL10Split.train, STL10Split.test)


@final
class STL10(FetchedData):
    """STL-10: photographs of 96x96 pixels, kept in memory at the size wanted: 48x48 in SNGAN's paper and its followers.

    Args:
        root: the folder that holds, or is to hold, `stl10_binary`.
        download: whether the data set (2.6 GB) is fetched from ai.stanford.edu when it is missing.
        split: unlabeled, train, test or train_and_unlabeled.
        image_size: 96 or less. 48, 32 and 24 are means of 2x2, 3x3 and 4x4 pixels, sizes that do not divide 96 are
            resampled (Lanczos).
        labels: whether the ten classes are told to the networks; only train and test have them.
        mirror: whether half of the training images are flipped left to right; SNGAN does not.
        batch_size: GLOBAL batch size, over all processes.
        seed: of the order of images and of mirroring.
        number_of_workers: processes that read ahead; 0 is best here, because the images are in memory.

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
        number_of_workers: int = 0,
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
        )
        self.root = Path(root).expanduser()
        self.download = download
        self.split = split

    def open_source(self) -> ImageSource:
        opened = self.opened()
        images = opened.data.transpose(0, 2, 3, 1)  # image height width channels
        if self.image_size != _FULL_SIZE:
            images = np.stack([np.asarray(resized(Image.fromarray(image), self.image_size)) for image in images])
        labels = torch.from_numpy(opened.labels).long() if self.split in _LABELLED else None
        return MemoryImages(
            images=channels_first(images), labels=labels, number_of_classes=0 if labels is None else _CLASSES
        )

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.STL10(self.root, split=self.split.value, download=download)
