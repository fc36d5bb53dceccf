"""Data sets of real images: data modules, endless streams, and image sources."""

from lightning_gan.data.celeba import CelebA, CelebASplit, FaceCrop
from lightning_gan.data.cifar import CIFAR10, CIFAR100, CIFARSplit
from lightning_gan.data.crops import RandomCrops
from lightning_gan.data.datamodule import GANData, Pace
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.digits import Digits
from lightning_gan.data.folder import ImageFolder
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.image_shards import ImageShards
from lightning_gan.data.imagenet import ImageNet, ImageNetSplit
from lightning_gan.data.images import ImageSource, MemoryImages, Origin, box_mean
from lightning_gan.data.lsun import LSUN
from lightning_gan.data.passes import Pass
from lightning_gan.data.resolution_cache import CachedImages
from lightning_gan.data.shards import Shards
from lightning_gan.data.stacked_digits import StackedDigits
from lightning_gan.data.stl10 import STL10, STL10Split
from lightning_gan.data.stream import Stream, StreamLoader

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "LSUN",
    "STL10",
    "CIFARSplit",
    "CachedImages",
    "CelebA",
    "CelebASplit",
    "Digits",
    "FaceCrop",
    "GANData",
    "ImageFiles",
    "ImageFolder",
    "ImageNet",
    "ImageNetSplit",
    "ImageShards",
    "ImageSource",
    "MemoryImages",
    "Origin",
    "Pace",
    "Pass",
    "RandomCrops",
    "Resampling",
    "Resize",
    "STL10Split",
    "Shards",
    "StackedDigits",
    "Stream",
    "StreamLoader",
    "box_mean",
]
