"""Makes the images that `prepare` writes, in threads: decoded, resized and encoded, or left out with a reason."""

import hashlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
from PIL import Image

from lightning_gan.data.decoding import PICTURES, Resize, size_of
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.image_files import unreadable
from lightning_gan.data.numbered_files import NumberedFiles, png_of
from lightning_gan.data.shown import shown
from lightning_gan.data.stored_values import ARRAY_SUFFIX, Stored, npy_of, stored_array
from lightning_gan.data.value_range import ValuesError

_IMAGES_PER_FOLDER = 1000

ANOTHER_SIZE, TOO_SMALL = "another size", "too small"
"""Reasons why an image is left out whose size is not that of the settings."""


@final
@dataclass(frozen=True, kw_only=True)
class Making:
    """How images are made.

    Args:
        decoder: what reads and resizes them.
        enlarge: whether images that are smaller than their size are enlarged; otherwise they are left out.
        duplicates: whether images stay whose pixels are those of an image before them.
    """

    decoder: ImageDecoder
    enlarge: bool
    duplicates: bool

    @property
    def suffix(self) -> str:
        """Ending of the names of the files: .png of pictures of 8 bits, .npy of all else.

        PNG files of 16 bits are left out, because they have no floats, which resized images consist of, and take longer
        to read.
        """
        is_picture = self.decoder.value_range is None and self.decoder.image_channels in PICTURES
        return ".png" if is_picture else ARRAY_SUFFIX


@final
@dataclass(frozen=True, kw_only=True)
class Made:
    """One image, or the reason why there is none.

    Attributes:
        contents: bytes of the file; None if it is written already.
        digest: checksum of the values; empty if duplicates stay.
        fault: kind of the reason why it is left out, and the reason in words; None for an image.
    """

    contents: bytes | None = None
    digest: bytes = b""
    fault: tuple[str, str] | None = None


def name_at(index: int, *, suffix: str) -> str:
    """The name of an image by its number in the source.

    Example:
        >>> name_at(12345, suffix=".png")
        '00012/img00012345.png'
    """
    return f"{index // _IMAGES_PER_FOLDER:05}/img{index:08}{suffix}"


def made_images(
    images: NumberedFiles, making: Making, *, draft: Path, threads: int
) -> Generator[tuple[int, Made], None, None]:
    """Yields every image with its number, in order, made in threads of which few are ahead.

    Args:
        images: the images of the source.
        making: how they are made.
        draft: folder in which files of an earlier run are looked for.
        threads: number of images that are made at the same time.
    """
    indices = iter(range(len(images)))
    with ThreadPoolExecutor(threads) as pool:

        def submit(index: int) -> tuple[int, Future[Made]]:
            return index, pool.submit(_make, images, making, index, draft / name_at(index, suffix=making.suffix))

        # The number of waiting results is limited, because all of them together may be larger than memory.
        ahead = deque(submit(index) for index in islice(indices, 4 * threads))
        while ahead:
            index, future = ahead.popleft()
            yield index, future.result()
            ahead.extend(submit(next_index) for next_index in islice(indices, 1))


def _make(images: NumberedFiles, making: Making, index: int, path: Path) -> Made:
    """Makes one image, or takes the whole file that an earlier run has written."""
    if (values := _written(path)) is not None:
        return Made(digest=_digest(values, making))
    try:
        contents = images.contents(index)
        fault = _fault_of_size(contents, making)
        if fault is not None:
            return Made(fault=fault)
        values = making.decoder.values(contents)
    # Decoders raise nearly anything on broken files (OSError, SyntaxError, zlib.error, struct.error, ...).
    except Exception as error:
        reason = str(unreadable("", error)).removeprefix(": ").removeprefix(f"{shown(images.name(index))}: ")
        return Made(fault=("of other values" if isinstance(error, ValuesError) else "broken", reason))
    plain = values[:, :, 0] if making.decoder.image_channels == 1 else values
    file = npy_of(plain) if making.suffix == ARRAY_SUFFIX else png_of(Image.fromarray(plain))
    return Made(contents=file, digest=_digest(values, making))


def _fault_of_size(contents: bytes, making: Making) -> tuple[str, str] | None:
    width, height = size_of(contents)
    size = making.decoder.size
    if making.decoder.resize is Resize.exact and (width, height) != (size.width, size.height):
        return ANOTHER_SIZE, f"{width}x{height} pixels"
    if not making.enlarge and (width < size.width or height < size.height):
        return TOO_SMALL, f"{width}x{height} pixels"
    return None


def _written(path: Path) -> Stored | None:
    """The values of a file of an earlier run, with a third dimension; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        if path.suffix == ARRAY_SUFFIX:
            return stored_array(path.read_bytes())
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image)
    except Exception:  # as above; the file is then made again
        return None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _digest(values: Stored, making: Making) -> bytes:
    if making.duplicates:
        return b""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()
