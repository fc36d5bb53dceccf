"""ImageNet (Russakovsky et al. 2015, arXiv:1409.0575): 1,281,167 photographs of 1000 classes."""

import os
import shutil
from enum import Enum
from pathlib import Path
from typing import final

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_info

from lightning_gan.data.crops import RandomCrops
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource
from lightning_gan.data.resolution_cache import CachedImages, check_cache_of_crops
from lightning_gan.data.torchvision_datasets import torchvision_datasets

_CLASSES = 1000
_ARCHIVE = "ILSVRC2012_img_train.tar"
_UNFINISHED = "train.unfinished"


class ImageNetSplit(Enum):
    """The parts of ImageNet."""

    train = "train"
    """1,281,167 images, on which GANs are trained."""

    val = "val"
    """50,000 other images."""


@final
class ImageNet(GANData):
    """ImageNet: the central square of every image, resized, as in SNGAN's and BigGAN's papers; or other squares.

    Nobody may redistribute ImageNet, so it must be downloaded by hand, with an account at image-net.org. Put
    ILSVRC2012_img_train.tar into `root`, where it is unpacked before the first training, or the class folders into
    `root/train`.

    Args:
        root: folder that contains `train` and `val`, with one folder per class in each, or the archive of `train`.
        split: part of the data set: train or val.
        image_size: width and height of the squares in pixels.
        labels: whether the networks get the 1000 classes, in alphabetical order of their folders.
        mirror: whether half of the training images are flipped left to right. SNGAN and BigGAN do not do this, but the
            R1 paper's code does.
        cache_directory: folder in which decoded images are kept at every resolution; it is filled before training. None
            decodes an image whenever it is read.
        cache_resolution: highest resolution in pixels that is kept in `cache_directory`, which takes 21 GB up to 64,
            84 GB up to 128 and 336 GB up to 256 pixels. None keeps all resolutions.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process. None chooses one to eight, by
            the CPUs that this process may use.
        resize: how images become squares: center_crop cuts and resizes, shorter_side resizes and cuts, squash changes
            their proportions. With random crops, shorter_side lets them reach the ends of the longer side.
        resampling: how images are resized: box_or_lanczos, lanczos or bilinear.
        random_crop_from: size in pixels to which images are resized, out of which training
            images are cut at random places, and others at the centre. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if a number is out of range or `cache_resolution` is given without `cache_directory`; when it is
            opened, if the data set is missing or has not 1000 classes.
    """

    def __init__(
        self,
        *,
        root: str | Path = "data/imagenet",
        split: ImageNetSplit = ImageNetSplit.train,
        image_size: int = 128,
        labels: bool = True,
        mirror: bool = False,
        cache_directory: str | Path | None = None,
        cache_resolution: int | None = None,
        batch_size: int = 256,
        seed: int = 0,
        number_of_workers: int | None = None,
        resize: Resize = Resize.center_crop,
        resampling: Resampling = Resampling.box_or_lanczos,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
    ) -> None:
        if cache_directory is None and cache_resolution is not None:
            raise ValueError(
                f"cache_resolution={cache_resolution} limits what is kept in a cache_directory; give cache_directory, "
                "or leave cache_resolution out"
            )
        check_cache_of_crops(resize=resize, random_crop_from=random_crop_from, cache_directory=cache_directory)
        if image_size < 1:
            raise ValueError(f"image_size={image_size} must be at least 1")
        super().__init__(
            image_size=image_size,
            image_channels=3,
            number_of_classes=_CLASSES if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
        )
        self.root = Path(root).expanduser()
        self.split = split
        self.cache_directory = cache_directory
        self.cache_resolution = cache_resolution
        self.resize = resize
        self.resampling = resampling
        self.random_crop_from = random_crop_from

    def prepare_data(self) -> None:
        """Unpacks the archive and fills the cache if necessary, in one process of every machine; the others wait."""
        if self.split is ImageNetSplit.train and not self._folder.is_dir() and (self.root / _ARCHIVE).is_file():
            self._unpack()
        if self.cache_directory is not None:
            self._cached().prepare()

    def open_source(self) -> ImageSource:
        if self.cache_directory is None:
            files = self._files()
            if self.resize is Resize.shorter_side and self.random_crop_from is not None:
                return RandomCrops(source=files, whole=files.whole, size=self.image_size)
            return files
        cached = self._cached()
        cached.prepare()  # done already under a Trainer
        return cached

    @property
    def _folder(self) -> Path:
        return self.root / self.split.value

    def _cached(self) -> CachedImages:
        assert self.cache_directory is not None
        return CachedImages(files=self._files(), directory=self.cache_directory, cache_resolution=self.cache_resolution)

    def _files(self) -> ImageFiles:
        if not self._folder.is_dir():
            archive = f"put {_ARCHIVE} from image-net.org into {self.root}, or " * (self.split is ImageNetSplit.train)
            raise ValueError(
                f"{self._folder} does not exist, and torchvision may not fetch ImageNet; {archive}"
                f"put its 1000 class folders into {self._folder}"
            )
        files = ImageFiles(
            path=self._folder,
            image_size=self.size_to_read,
            image_channels=3,
            resize=self.resize,
            resampling=self.resampling,
        )
        if files.number_of_classes != _CLASSES:
            raise ValueError(
                f"{self._folder} has {files.number_of_classes} class folders with images in them, not {_CLASSES}; "
                f"unpack the rest, or use ImageFolder for a part of ImageNet"
            )
        return files

    def _unpack(self) -> None:
        """Unpacks into another folder and renames it, so that an interrupted run leaves no incomplete `train`."""
        datasets = torchvision_datasets("unpacking ImageNet")
        with FileLock(self.root / ".unpack.lock"):
            if self._folder.is_dir():
                return  # another process did it while we waited
            rank_zero_info(f"unpacking {self.root / _ARCHIVE}, which takes its size (138 GB) again on the disk")
            shutil.rmtree(self.root / _UNFINISHED, ignore_errors=True)
            try:
                datasets.imagenet.parse_train_archive(self.root, folder=_UNFINISHED)
                os.replace(self.root / _UNFINISHED, self._folder)
            except (RuntimeError, OSError) as error:
                raise ValueError(
                    f"{self.root / _ARCHIVE} could not be unpacked ({error}); make room, or get the archive again"
                ) from error
