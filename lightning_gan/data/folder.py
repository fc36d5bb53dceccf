"""Your own images: a folder or a zip of image files."""

from pathlib import Path
from typing import final

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from lightning_gan.data.crops import RandomCrops, size_to_read
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource
from lightning_gan.data.resolution_cache import CachedImages, check_cache_of_crops
from lightning_gan.data.stream import Batch

_CACHE_BYTES = 512 * 2**20


@final
class ImageFolder(GANData):
    """PNG, JPEG, WebP and BMP files in a folder with any subfolders, or in a zip.

    Labels come from a `dataset.json` at the top (`{"labels": [[file, class], ...]}`). Without one, the folders at the
    top are the classes, if there are at least two and every image is in one of them. Broken files are all named in one
    error before training begins.

    Args:
        path: path of a folder or a zip.
        image_size: full width and height of the images in pixels.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA.
        resize: treatment of images of another size: exact refuses them, center_crop resizes the central square,
            shorter_side resizes the whole image and cuts the square, squash changes the image's proportions.
        resampling: how images of another size are resized: box_or_lanczos, lanczos or bilinear.
        labels: whether the networks get the classes, if there are any.
        mirror: whether half of the training images are flipped left to right.
        cache: whether images are decoded once and kept in memory if all of them take at most 512 MiB.
        cache_directory: folder in which decoded images are kept at every resolution, so that a growing network reads
            only as much as its resolution needs. The folder is filled before training, and images are not kept in
            memory. None keeps no images on the disk.
        cache_resolution: highest resolution in pixels that is kept in `cache_directory`; images of higher resolutions
            are decoded from the files. 70,000 RGB images take 1.1 GiB up to 64, 17 GiB up to 256, 273 GiB up to 1024
            pixels. None keeps all resolutions.
        check_files: whether the header of every file is checked before training; cached images are always checked.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process; 0 reads in the training
            process, which is best for cached images.
        random_crop_from: size in pixels which `resize` gives the images (or requires of them), out of which training
            images are cut at random places, and others at the centre. With resize shorter_side, they may lie anywhere
            in the whole image, and images are decoded whenever they are read. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if `path` does not exist or has no image, its labels cannot be understood, a number is out of range,
            or `cache_resolution` is given without `cache_directory`.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        image_size: int,
        image_channels: int = 3,
        resize: Resize = Resize.exact,
        labels: bool = True,
        mirror: bool = False,
        cache: bool = True,
        cache_directory: str | Path | None = None,
        cache_resolution: int | None = None,
        check_files: bool = True,
        batch_size: int = 16,
        seed: int = 0,
        number_of_workers: int = 2,
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
        self._files = ImageFiles(
            path=path,
            image_size=size_to_read(image_size=image_size, random_crop_from=random_crop_from),
            image_channels=image_channels,
            resize=resize,
            resampling=resampling,
        )
        self._cuts_whole_images = random_crop_from is not None and resize is Resize.shorter_side
        self._cached: CachedImages | None = None
        if cache_directory is not None:
            self._cached = CachedImages(files=self._files, directory=cache_directory, cache_resolution=cache_resolution)
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            number_of_classes=self._files.number_of_classes if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
        )
        self.cache = cache
        self.check_files = check_files

    def prepare_data(self) -> None:
        """Fills the cache on the disk, if there is one; one process of every machine does this, and the others wait."""
        if self._cached is not None:
            self._cached.prepare()

    def open_source(self) -> ImageSource:
        if self._cached is not None:
            self._cached.prepare()  # done already under a Trainer
            return self._cached
        if self.cache and not self._cuts_whole_images and self._files.decoded_bytes <= _CACHE_BYTES:
            return self._files.in_memory()
        if self.check_files:
            self._files.check()
        if self._cuts_whole_images:
            return RandomCrops(source=self._files, whole=self._files.whole, size=self.image_size)
        return self._files

    def train_dataloader(self) -> DataLoader[Batch]:
        if self.schedule is not None and self.source is self._files:
            rank_zero_info(
                f"ImageFolder: every image is decoded at {self.image_size} pixels, even while training is at a lower "
                "resolution; give a cache_directory to read the lower resolution alone"
            )
        return super().train_dataloader()
