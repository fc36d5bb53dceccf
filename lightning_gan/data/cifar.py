"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32x32 colour photographs of 10 and of 100 classes."""

from abc import ABC
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from lightning_gan.data.images import ImageSource, MemoryImages, Origin
from lightning_gan.data.torchvision_datasets import FetchedData, PublicDataset, channels_first

_IMAGE_SIZE = 32


class CIFARSplit(Enum):
    """The parts of CIFAR-10 and CIFAR-100."""

    train = "train"
    """50,000 images, on which GANs are trained."""

    test = "test"
    """10,000 other images."""


class CIFAR(FetchedData, ABC):
    """Base class of CIFAR-10 and CIFAR-100. Images are kept in memory.

    Args:
        root: folder that contains the data set, or into which it is downloaded; None is data/cifar10 or data/cifar100.
        download: whether the data set (170 MB) is downloaded from www.cs.toronto.edu when it is missing.
        split: part of the data set: train or test.
        number_of_images: number of images to use, counted from the first, such as 1000 of CIFAR-10 in CT-GAN
            (arXiv:1803.01541); None uses all.
        labels: whether the networks get the classes; for CIFAR-100 these are the 100 fine ones.
        mirror: whether half of the training images are flipped left to right. PGGAN and SNGAN do not do this, but
            BigGAN does.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead; None means 0, because the images are in memory.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if a number is out of range; when it is opened, if the data set is missing.
    """

    dataset: ClassVar[PublicDataset]
    """Name of the data set, with the facts that error messages need when it is missing."""
    folder: ClassVar[str]
    """Default folder of the data set."""
    classes: ClassVar[int]
    """Number of classes."""

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
        number_of_workers: int | None = None,
        dequantization_noise: float = 0.0,
    ) -> None:
        if number_of_images is not None and number_of_images < 1:
            raise ValueError(f"number_of_images={number_of_images} must be at least 1; leave it out to use all")
        super().__init__(
            image_size=_IMAGE_SIZE,
            image_channels=3,
            number_of_classes=self.classes if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            dequantization_noise=dequantization_noise,
        )
        self.root = Path(self.folder if root is None else root).expanduser()
        self.download = download
        self.split = split
        self.number_of_images = number_of_images

    def open_source(self) -> ImageSource:
        opened = self.opened()
        labels = torch.tensor(opened.targets)
        # The number of classes includes those of which the first images have no example.
        return MemoryImages(
            images=channels_first(opened.data[: self.number_of_images]),
            labels=labels[: self.number_of_images],
            number_of_classes=max(self.number_of_classes, int(labels.max()) + 1),
            origin=Origin(class_names=tuple(opened.classes)),
        )


@final
class CIFAR10(CIFAR):
    """CIFAR-10: photographs of 32x32 pixels, with 5,000 training images of each of 10 classes."""

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
    """CIFAR-100: photographs of 32x32 pixels, with 500 training images of each of 100 classes."""

    dataset = PublicDataset(
        name="CIFAR-100",
        host="www.cs.toronto.edu",
        by_hand="put cifar-100-python.tar.gz there, which download: true then unpacks without a network",
    )
    folder = "data/cifar100"
    classes = 100

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.CIFAR100(self.root, train=self.split is CIFARSplit.train, download=download)
