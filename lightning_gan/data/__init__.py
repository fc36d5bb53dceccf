"""Real images for the discriminator: data modules, and the stream and sources that they are made of."""

from lightning_gan.data.datamodule import GANData, Pace, Pass
from lightning_gan.data.decoding import Resize
from lightning_gan.data.digits import Digits
from lightning_gan.data.folder import ImageFolder
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource, MemoryImages, box_mean
from lightning_gan.data.resolution_cache import CachedImages
from lightning_gan.data.stream import Stream, StreamLoader

__all__ = [
    "Digits",
    "GANData",
    "ImageFiles",
    "ImageFolder",
    "ImageSource",
    "MemoryImages",
    "Pace",
    "Pass",
    "Resize",
    "Stream",
    "StreamLoader",
    "box_mean",
]
