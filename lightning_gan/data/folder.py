"""Your own images: a folder or a zip of image files."""

from pathlib import Path
from typing import final

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from lightning_gan.data.checked_files import check_once
from lightning_gan.data.crops import RandomCrops, larger, size_to_read
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource, pixel_size
from lightning_gan.data.resolution_cache import CachedImages, check_cache_of_crops
from lightning_gan.data.stream import Batch

_CACHE_BYTES = 512 * 2**20


@final
class ImageFolder(GANData):
    """Image files in a folder or a zip: BMP, GIF, JPEG, PNG, TIFF, WebP, and AVIF if Pillow reads it; or arrays.

    Arrays are .npy files, `height width` or `height width channels`, of any number of channels, in a folder or zip that
    has no other images. Arrays of uint8 and images of 8 bits become bytes. All others need `value_range`.

    What the data became is said in one line before training: images, classes with their numbers, what was left out. The
    rules are these, and what is unclear is refused:

    - If all images lie in one folder, it is looked through, and so on. Hidden files do not count. Files whose names do
      not end as images' do are left out and counted. Of animations, the first image is read.
    - Labels come from a `dataset.json` at the top, `{"labels": [[file, label], ...]}`. Labels are class indices, names
      of classes, or lists of numbers: one of all classes ([0, 1, 0]), several, or continuous values. Every image has
      one label and every class an image, unless `"classes": 12` (or a list of names) stands beside `"labels"`.
    - Without that file, the folders at the top are the classes, in alphabetical order, if there are at least two.
      Images beside them are refused; folders without images are named and are no classes. Folders of numbers with four
      or more digits (00000, 01000) are no classes if they surely count images; otherwise they are asked about.
    - A folder of training images beside one of validation or test images (train, val) is asked about.
    - Every folder is listed once, also if links lead to it several times. Names that lead out of the data set, pipes,
      two files of one name in a zip, encrypted zips and files that would fill the memory are refused.
    - Broken files are all named in one error before training begins.

    Args:
        path: path of a folder or a zip.
        image_size: full height of the images in pixels, and their width if `image_width` is not given.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA; of
            arrays, and of images with more than 8 bits, the number that they have.
        resize: treatment of images of another size: exact refuses them, center_crop resizes the central square (the
            largest central rectangle of the images' proportions), shorter_side resizes the whole image and cuts the
            square (the rectangle), squash changes the image's proportions.
        resampling: how images of another size are resized: box_or_lanczos, lanczos or bilinear.
        labels: whether the networks get the labels, if there are any. If not, no question about labels is asked.
        mirror: whether half of the training images are flipped left to right.
        cache: whether images are decoded once and kept in memory if all of them take at most 512 MiB.
        cache_directory: folder in which decoded images are kept at every resolution, so that a growing network reads
            only as much as its resolution needs. The folder is filled before training, and images are not kept in
            memory. None keeps no images on the disk.
        cache_resolution: highest resolution in pixels that is kept in `cache_directory`; images of higher resolutions
            are decoded from the files. 70,000 RGB images take 1.1 GiB up to 64, 17 GiB up to 256, 273 GiB up to 1024
            pixels. None keeps all resolutions.
        check_files: whether every file is decoded before training, in threads, if images are not cached. This takes
            at most about as long as reading all images once in one process (0.6 to 1.1 times on two cores), and is
            remembered in ~/.cache/lightning_gan, so that it is done once for a data set. Cached images are always
            checked.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process; 0 reads in the training
            process. None chooses 0 if images are kept in memory, and otherwise one to eight, by the CPUs that this
            process may use.
        random_crop_from: height in pixels which `resize` gives the images (or requires of them), out of which training
            images are cut at random places, and others at the centre. With resize shorter_side, they may lie anywhere
            in the whole image, and images are decoded whenever they are read. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.
        image_width: full width of the images in pixels, for models that take it (`StyleGAN2`, `R3GAN`); None is a
            square.
        value_range: the lowest and the highest value in files of 16 bits, of floats or of several channels, such as
            [0, 65535]; they become -1 and 1 of float images. Other values are refused. None is for images of 8 bits.

    Raises:
        ValueError: if `path` does not exist or has no image, what it holds is refused or unclear, its labels cannot be
            understood, a number is out of range, or `cache_resolution` is given without `cache_directory`.
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
        number_of_workers: int | None = None,
        resampling: Resampling = Resampling.box_or_lanczos,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
        image_width: int | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        if cache_directory is None and cache_resolution is not None:
            raise ValueError(
                f"cache_resolution={cache_resolution} limits what is kept in a cache_directory; give cache_directory, "
                "or leave cache_resolution out"
            )
        check_cache_of_crops(resize=resize, random_crop_from=random_crop_from, cache_directory=cache_directory)
        size = pixel_size(image_size, image_width)
        height = size_to_read(image_size=image_size, random_crop_from=random_crop_from, image_width=size.given_width)
        self._files = ImageFiles(
            path=path,
            image_size=height,
            image_width=larger(size, height).given_width,
            value_range=value_range,
            image_channels=image_channels,
            resize=resize,
            resampling=resampling,
            labels=labels,
        )
        self._cuts_whole_images = random_crop_from is not None and resize is Resize.shorter_side
        self._cached: CachedImages | None = None
        if cache_directory is not None:
            self._cached = CachedImages(files=self._files, directory=cache_directory, cache_resolution=cache_resolution)
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            number_of_classes=self._files.number_of_classes,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
            image_width=image_width,
            value_range=value_range,
        )
        self.cache = cache
        self.check_files = check_files

    def prepare_data(self) -> None:
        """Fills the cache on the disk, if there is one, or checks the files that are not kept in memory.

        One process of every machine does this, and the others wait.
        """
        if self._cached is not None:
            self._cached.prepare()
        elif self.check_files and not self._is_kept_in_memory:
            check_once(self._files)

    def open_source(self) -> ImageSource:
        self.prepare_data()  # done already under a Trainer
        if self._cached is not None:
            return self._cached
        if self._is_kept_in_memory:
            return self._files.in_memory()
        if self._cuts_whole_images:
            return RandomCrops(
                source=self._files, whole=self._files.whole, size=self.image_size, width=self.image_width
            )
        return self._files

    @property
    def _is_kept_in_memory(self) -> bool:
        return self.cache and not self._cuts_whole_images and self._files.decoded_bytes <= _CACHE_BYTES

    def train_dataloader(self) -> DataLoader[Batch]:
        if self.schedule is not None and self.source is self._files:
            rank_zero_info(
                f"ImageFolder: every image is decoded at {self.image_size} pixels, even while training is at a lower "
                "resolution; give a cache_directory to read the lower resolution alone"
            )
        return super().train_dataloader()
