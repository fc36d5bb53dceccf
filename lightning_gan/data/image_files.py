"""Images that lie as files in a folder or a zip."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar, cast, final

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from lightning_gan.data.decoding import IMAGE_SUFFIXES, Resize, check_header, decode, mode_of
from lightning_gan.data.images import ClassLabels, ImageSource, Indices, MemoryImages
from lightning_gan.data.listing import files_at, labels_of
from lightning_gan.shapes import ImageBytes

_Result = TypeVar("_Result")

_NAMED_FAULTS = 10
_THREADS = min(16, 2 * (os.cpu_count() or 1))


@final
class ImageFiles(ImageSource):
    """PNG, JPEG, WebP and BMP files below a folder or in a zip, sorted by name, with labels if there are any.

    Args:
        path: a folder or a zip.
        image_size: the full size in pixels.
        image_channels: 1 grey, 3 RGB (transparent files on white), 4 RGBA.
        resize: what happens to files of another size.

    Raises:
        ValueError: if there is no such path or no image in it, or its labels cannot be understood.
    """

    def __init__(
        self, *, path: str | Path, image_size: int, image_channels: int, resize: Resize = Resize.exact
    ) -> None:
        mode_of(image_channels)
        if image_size < 1:
            raise ValueError(f"image_size={image_size} must be at least 1")
        self._path = Path(path).expanduser()
        self._image_size = image_size
        self._image_channels = image_channels
        self._resize = resize
        self._files = files_at(self._path)
        self._names = [name for name in self._files.names() if name.lower().endswith(IMAGE_SUFFIXES)]
        if not self._names:
            raise ValueError(f"{self._path} holds no image; images end in {', '.join(IMAGE_SUFFIXES)}")
        self._labels = labels_of(self._files, images=self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> list[str]:
        """The files in the order of their numbers."""
        return list(self._names)

    @property
    def labels(self) -> ClassLabels | None:
        return self._labels

    @property
    def number_of_classes(self) -> int:
        return 0 if self._labels is None else int(self._labels.max()) + 1

    @property
    def decoded_bytes(self) -> int:
        """How much memory all images take when decoded at their full size."""
        return len(self) * self._image_channels * self._image_size**2

    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        """The images at `indices`; raises a ValueError that names the file which cannot be read."""
        return self._stacked([self._decoded(self._names[index], resolution) for index in indices.tolist()])

    def check(self) -> None:
        """Looks at the header of every file.

        Raises:
            ValueError: one for all files that are no images or have a size that is refused.
        """
        self._for_each_file(self._check_header)

    def in_memory(self) -> MemoryImages:
        """All images decoded at their full size.

        Raises:
            ValueError: one for all files that cannot be read.
        """
        pixels = self._for_each_file(lambda name: self._decoded(name, self._image_size))
        return MemoryImages(images=self._stacked(pixels), labels=self._labels)

    def _decoded(self, name: str, resolution: int) -> UInt8[np.ndarray, "height width channels"]:
        try:
            with self._files.open(name) as file:
                contents = file.read()
            return decode(
                contents,
                image_size=self._image_size,
                image_channels=self._image_channels,
                resize=self._resize,
                resolution=resolution,
            )
        # Decoders raise nearly anything on broken files (OSError, SyntaxError, zlib.error, struct.error, ...).
        except Exception as error:
            raise _unreadable(name, error) from error

    def _check_header(self, name: str) -> None:
        try:
            with self._files.open(name) as file, Image.open(cast(IO[bytes], file)) as image:
                check_header(image, image_size=self._image_size, resize=self._resize)
        except Exception as error:
            raise _unreadable(name, error) from error

    def _for_each_file(self, work: Callable[[str], _Result]) -> list[_Result]:
        """The work's results in order, or one error for all files that it refused."""
        results: list[_Result] = []
        faults: list[str] = []
        with ThreadPoolExecutor(_THREADS) as threads:
            for pending in [threads.submit(work, name) for name in self._names]:
                try:
                    results.append(pending.result())
                except ValueError as error:
                    faults.append(str(error))
        if faults:
            shown = faults[:_NAMED_FAULTS] + ["..."] * (len(faults) > _NAMED_FAULTS)
            raise ValueError(
                f"{len(faults)} of {len(self)} images in {self._path} cannot be used; replace or remove them:\n  "
                + "\n  ".join(shown)
            )
        return results

    @staticmethod
    def _stacked(pixels: list[UInt8[np.ndarray, "height width channels"]]) -> ImageBytes:
        images = torch.from_numpy(np.stack(pixels))
        return rearrange(images, "batch height width channels -> batch channels height width").contiguous()


def _unreadable(name: str, error: Exception) -> ValueError:
    # Pillow names the object in memory in its message, which tells a user nothing.
    reason = "it is not an image, or an incomplete one" if isinstance(error, UnidentifiedImageError) else error
    return ValueError(f"{name}: {reason}")
