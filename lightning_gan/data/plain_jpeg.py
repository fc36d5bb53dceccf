"""Plain JPEG files, which torchvision decodes to the pixels of Pillow in less time.

Plain are files in colours or grey that are upright and have their final size: for all others Pillow has to have the
image, and giving it the pixels takes longer than decoding gains. Pillow reads every header and
decides what is refused. It decodes all other files, and those that torchvision cannot decode, so that errors are those
of Pillow. Where torchvision is missing, or does not give the pixels of Pillow, Pillow decodes every file.

torchvision 0.29 deprecates its decoders in favour of those of torchcodec.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile

Pixels: TypeAlias = UInt8[np.ndarray, "height width channels"]
"""One decoded image."""

_READ_MODES = {"L": "GRAY", "RGB": "RGB"}
"""Modes of Pillow, and torchvision's names for them."""


def pixels_of_plain_jpeg(opened: ImageFile.ImageFile, contents: bytes, *, mode: str) -> Pixels | None:
    """Returns the pixels of a plain JPEG file at its full size, or None if Pillow has to decode the file.

    Args:
        opened: the file, opened by Pillow and not loaded.
        contents: the bytes of the file.
        mode: Pillow's name of the colours that are wanted. Grey is what `draft` gives.
    """
    if opened.format != "JPEG" or opened.mode not in _READ_MODES or mode not in _READ_MODES:
        return None
    if (decode := _decoder()) is None:
        return None
    if opened.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return None
    try:
        pixels = decode(contents, mode)
    except RuntimeError:  # a broken file, of which Pillow tells what is wrong
        return None
    return pixels if pixels.shape[1::-1] == opened.size else None


@cache
def _decoder() -> Callable[[bytes, str], Pixels] | None:
    """Returns torchvision's decoder if it gives the pixels of Pillow on this machine, otherwise None."""
    try:
        io = import_module("torchvision.io")
        read_modes = {mode: io.ImageReadMode[name] for mode, name in _READ_MODES.items()}

        def decode(contents: bytes, mode: str) -> Pixels:
            # A copy, because tensors do not share memory that may not be written to.
            data = torch.frombuffer(bytearray(contents), dtype=torch.uint8)
            pixels: Pixels = io.decode_jpeg(data, read_modes[mode]).permute(1, 2, 0).numpy()
            return pixels

        return decode if all(_agrees(decode, contents, mode) for contents, mode in _samples()) else None
    # A torchvision built for another torch, or without its decoders, raises RuntimeError, OSError or AttributeError.
    except (ImportError, RuntimeError, OSError, AttributeError, DeprecationWarning):
        return None


def _agrees(decode: Callable[[bytes, str], Pixels], contents: bytes, mode: str) -> bool:
    with Image.open(BytesIO(contents)) as image:
        image.draft(mode, image.size)
        return np.array_equal(decode(contents, mode).squeeze(), np.asarray(image.convert(mode)))


def _samples() -> Iterator[tuple[bytes, str]]:
    """Yields small files of all plain kinds, and the mode to decode each in. Libraries may be built differently."""
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    for mode, decoded_mode in (("RGB", "RGB"), ("RGB", "L"), ("L", "L"), ("L", "RGB")):
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            for progressive in (False, True):
                file = BytesIO()
                image = Image.fromarray(pixels).convert(mode)
                image.save(file, "JPEG", subsampling=subsampling, progressive=progressive)
                yield file.getvalue(), decoded_mode
