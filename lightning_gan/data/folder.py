"""Your own images: a folder or a zip of image files."""

from pathlib import Path
from typing import final

from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource

_CACHE_BYTES = 512 * 2**20


@final
class ImageFolder(GANData):
    """PNG, JPEG, WebP and BMP files in a folder with any subfolders, or in a zip.

    Labels are those of a `dataset.json` at the top (`{"labels": [[file, class], ...]}`); without one, the folders at
    the top are classes when there are at least two and every image lies in one. Broken files are all named in one error
    before training begins.

    Args:
        path: a folder or a zip.
        image_size: size in pixels at which the networks see the images at the end.
        image_channels: 1 grey, 3 RGB (transparent images lie on white), 4 RGBA.
        resize: what happens to images of another size: exact refuses them, center_crop resizes the central square,
            squash resizes the whole image and changes its proportions.
        labels: whether classes are used, if there are any.
        mirror: whether half of the training images are flipped left to right.
        cache: whether images are decoded once and kept in memory when all of them take at most 512 MiB.
        check_files: whether the header of every file is looked at before training; cached images are always checked.
        batch_size: GLOBAL batch size, over all processes.
        seed: of the order of images and of mirroring.
        number_of_workers: processes that read ahead for each training process; 0 reads in the training process, which
            is best for cached images.

    Raises:
        ValueError: if there is no such path or no image in it, its labels cannot be understood, or a number is out of
            range.
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
        check_files: bool = True,
        batch_size: int = 16,
        seed: int = 0,
        number_of_workers: int = 2,
    ) -> None:
        self._files = ImageFiles(path=path, image_size=image_size, image_channels=image_channels, resize=resize)
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            number_of_classes=self._files.number_of_classes if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
        )
        self.cache = cache
        self.check_files = check_files

    def open_source(self) -> ImageSource:
        if self.cache and self._files.decoded_bytes <= _CACHE_BYTES:
            return self._files.in_memory()
        if self.check_files:
            self._files.check()
        return self._files
