"""Plain PNG files, which imagecodecs decodes to the pixels of Pillow in less time.

Plain are files of 8 bits per channel, without a palette, interlacing or a transparent colour, that have their final
size and the wanted channels. Pillow reads every header and decides what is refused. It decodes all other files, and
those that imagecodecs cannot decode, so that errors are those of Pillow. Where imagecodecs is missing, or does not give
the pixels of Pillow, Pillow decodes every file.

imagecodecs 2026.3 calls libpng with zlib-ng, and needs two thirds of Pillow's time. torchcodec 0.17 needs nine tenths
of it, as OpenCV 5.0 does. decode_png of torchvision 0.29 ends the whole process (a segmentation fault) where the
checksum at the end of the compressed pixels is wrong.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from lightning_gan.data.plain_jpeg import Pixels

_MODES = ("L", "RGB", "RGBA")

_PLAIN_PARTS = {b"IHDR", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM", b"iCCP", b"pHYs", b"tIME", b"tEXt"}
"""Parts of a file that leave its pixels and its orientation alone, for Pillow as for libpng."""


def pixels_of_plain_png(opened: ImageFile.ImageFile, contents: bytes, *, mode: str) -> Pixels | None:
    """Returns the pixels of a plain PNG file at its full size, or None if Pillow has to decode the file.

    Args:
        opened: the file, opened by Pillow and not loaded.
        contents: the bytes of the file.
        mode: Pillow's name of the colours that are wanted.
    """
    if opened.format != "PNG" or opened.mode != mode or mode not in _MODES or "interlace" in opened.info:
        return None
    if (decode := _decoder()) is None or not _is_plain(opened, contents):
        return None
    try:
        pixels = decode(contents)
    except Exception:  # a broken file, of which Pillow tells what is wrong, or whether it can be read nevertheless
        return None
    return pixels if pixels.shape == (*opened.size[::-1], len(mode)) else None


def _is_plain(opened: ImageFile.ImageFile, contents: bytes) -> bool:
    """Whether there are 8 bits for each channel, and nothing that tells of transparency or of an orientation.

    What tells of it may stand behind the pixels, where Pillow looks when it loads them.
    """
    if [tile.args for tile in opened.tile] != [opened.mode]:
        return False
    start, kind = 8, b""
    while kind != b"IEND":
        kind = contents[start + 4 : start + 8]
        if kind not in _PLAIN_PARTS:
            return False
        start += 12 + int.from_bytes(contents[start : start + 4], "big")
    # Programs write the tags of cameras and of Adobe into texts of these names.
    return start <= len(contents) and b"Raw profile type" not in contents and b"XML:com.adobe.xmp" not in contents


@cache
def _decoder() -> Callable[[bytes], Pixels] | None:
    """Returns imagecodecs' decoder if it gives the pixels of Pillow on this machine, otherwise None."""
    try:
        library: Any = import_module("imagecodecs")

        def decode(contents: bytes) -> Pixels:
            pixels: np.ndarray = library.png_decode(contents)
            return pixels[:, :, None] if pixels.ndim == 2 else pixels

        return decode if all(_agrees(decode, contents) for contents in _samples()) else None
    # A build without libpng raises an error of its own, one for another numpy an ImportError or a ValueError.
    except Exception:
        return None


def _agrees(decode: Callable[[bytes], Pixels], contents: bytes) -> bool:
    with Image.open(BytesIO(contents)) as image:
        return np.array_equal(decode(contents).squeeze(), np.asarray(image))


def _samples() -> Iterator[bytes]:
    """Yields small files of all plain kinds. Libraries may be built differently."""
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 4), dtype=np.uint8)
    for mode in _MODES:
        for level in (0, 1, 6):
            file = BytesIO()
            Image.fromarray(pixels).convert(mode).save(file, "PNG", compress_level=level)
            yield file.getvalue()
