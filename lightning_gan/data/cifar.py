"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32x32 colour photographs of 10 and of 100 kinds of things."""

from abc import ABC
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from lightning_gan.data.images import ImageSource, MemoryImages
from lightning_gan.data.torchvision_datasets import FetchedData, PublicDataset, channels_first

_IMAGE_SIZE = 32


class CIFARSplit(Enum):
    """Which images."""

    train = "train"
    """50,000, on which GANs are trained."""

    test = "test"
    """10,000 others."""


class CIFAR(FetchedData, ABC):
    """What both data sets share; subclasses say which one it is. Images are kept in memory.

    Args:
        root: the folder that holds, or is to hold, what torchvision unpacks; None is data/cifar10 and data/cifar100.
        download: whether the data set (170 MB) is fetched from www.cs.toronto.edu when it is missing.
        split: train or test.
        number_of_images: how many of them, from the first on, such as CT-GAN's 1000 of CIFAR-10 (arXiv:1803.01541);
            None for all.
        labels: whether the classes are told to the networks; of CIFAR-100 the 100 fine ones.
        mirror: whether half of the training images are flipped left to right. PGGAN and SNGAN do not, BigGAN does.
        batch_size: GLOBAL batch size, over all processes.
        seed: of the order of images and of mirroring.
        number_of_workers: processes that read ahead; 0 is best here, because the images are in memory.

    Raises:
        ValueError: if a number is out of range; when it is opened, if the data set is missing.
    """

    dataset: ClassVar[PublicDataset]
    """What a user has to know when it is missing."""
    folder: ClassVar[str]
    """Where it is by default."""
    classes: ClassVar[int]
    """How many there are."""

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        download: bool = False,
        split: CIFARSplit = CIFARSplit.train,
        number_of_images: int | None = None,
        labels: bool = True,
        mirror: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        number_of_workers: int = 0,
    ) -> None:
        if number_of_images is not None and number_of_images < 1:
            raise ValueError(f"number_of_images={number_of_images} must be at least 1; leave it out for all")
        super().__init__(
            image_size=_IMAGE_SIZE,
            image_channels=3,
            number_of_classes=self.classes if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
        )
        self.root = Path(self.folder if root is None else root).expanduser()
        self.download = download
        self.split = split
        self.number_of_images = number_of_images

    def open_source(self) -> ImageSource:
        opened = self.opened()
        labels = torch.tensor(opened.targets)
        # All classes count, also those that the first images lack.
        return MemoryImages(
            images=channels_first(opened.data[: self.number_of_images]),
            labels=labels[: self.number_of_images],
            number_of_classes=max(self.number_of_classes, int(labels.max()) + 1),
        )


@final
class CIFAR10(CIFAR):
    """CIFAR-10: 32x32 photographs, 5,000 for training of each of 10 classes."""

    dataset = PublicDataset(
        name="CIFAR-10",
        host="www.cs.toronto.edu",
        by_hand="put cifar-10-python.tar.gz there, which download: true then unpacks without a network",
    )
    folder = "data/cifar10"
    classes = 10

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.CIFAR10(self.root, train=self.split is CIFARSplit.train, download=download)


@final
class CIFAR100(CIFAR):
    """CIFAR-100: 32x32 photographs, 500 for training of each of 100 classes."""

    dataset = PublicDataset(
        name="CIFAR-100",
        host="www.cs.toronto.edu",
        by_hand="put cifar-100-python.tar.gz there, which download: true then unpacks without a network",
    )
    folder = "data/cifar100"
    classes = 100

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.CIFAR100(self.root, train=self.split is CIFARSplit.train, download=download)
