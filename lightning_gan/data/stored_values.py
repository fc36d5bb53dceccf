"""The values that a file of an image has, whatever their type and the number of channels: .npy, PNG and TIFF.

Pillow reads grey images of 16 and 32 bits, and cuts colours of 16 bits to 8. Those are read by imagecodecs, if it is
installed (`pip install 'lightning-gan[fast-png]'`).
"""

import re
from importlib import import_module
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Num
from PIL import ExifTags, Image, ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

ARRAY_SUFFIX = ".npy"
"""Ending of the names of files with an array: `height width` or `height width channels`."""

Stored: TypeAlias = Num[np.ndarray, "height width channels"]
"""The values of one file, of its own type."""

_BITS_PER_SAMPLE, _PLANES, _SAMPLE_FORMAT = 258, 284, 339
"""Tags of TIFF files: bits per channel, 2 for one plane per channel, and 1 for numbers without a sign, 2 with one."""

_MAGIC = b"\x93NUMPY"


def is_array(contents: bytes) -> bool:
    """Whether a file is an array of numpy's, whatever its name says."""
    return contents.startswith(_MAGIC)


def stored_array(contents: bytes) -> Stored:
    """Returns the array of a .npy file, with a last dimension of channels.

    Raises:
        ValueError: if it is damaged, would run code, or is no image.
    """
    array: np.ndarray = np.load(BytesIO(contents), allow_pickle=False)
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "buif":
        raise ValueError(
            f"it is an array of {array.dtype} {list(array.shape)} and no image; write numbers [height, width] or "
            "[height, width, channels]"
        )
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return array[:, :, None] if array.ndim == 2 else array


def npy_of(values: Num[np.ndarray, "..."]) -> bytes:
    """Returns an array as the bytes of a .npy file."""
    file = BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    return file.getvalue()


def shown_size(opened: ImageFile.ImageFile) -> tuple[int, int]:
    """Returns the width and height in pixels of an image file as it is shown, before its pixels are read."""
    # Pillow turns TIFF files by itself, and tells their turned size from the beginning.
    return opened.size[::-1] if _orientation(opened) >= 5 and opened.format != "TIFF" else opened.size


def _orientation(opened: ImageFile.ImageFile) -> int:
    """The tag of a camera's orientation, 1 to 8; from 5 on, width and height change places."""
    return int(opened.getexif().get(ExifTags.Base.Orientation, 1))


def is_deep(opened: ImageFile.ImageFile) -> bool:
    """Whether an image file has more than 8 bits per channel, or 8 bits with a sign, by its header alone."""
    return opened.mode.startswith(("I", "F")) or _cuts(opened)


def has_signed_bytes(opened: ImageFile.ImageFile) -> bool:
    """Whether an image file has 8 bits per channel with a sign, which Pillow reads as if they had none."""
    if not isinstance(opened, TiffImageFile) or opened.mode.startswith(("I", "F")):
        return False
    return 2 in opened.tag_v2.get(_SAMPLE_FORMAT, (1,))


def range_of_deep(opened: ImageFile.ImageFile) -> str:
    """Returns an argument `value_range` that may be right for an image file of more than 8 bits per channel."""
    if has_signed_bytes(opened):
        return "[-128, 127]"
    return "[0, 65535]" if _cuts(opened) or opened.mode.startswith("I;16") else "[LOWEST, HIGHEST]"


def _cuts(opened: ImageFile.ImageFile) -> bool:
    """Whether Pillow would cut 16 bits per channel of colours to 8, or a sign, which its mode does not tell."""
    if opened.mode.startswith(("I", "F")):
        return False
    if has_signed_bytes(opened):
        return True
    bits = opened.tag_v2.get(_BITS_PER_SAMPLE, (8,)) if isinstance(opened, TiffImageFile) else (8,)
    return max(bits) > 8 or any(re.search(";16[BLN]", str(tile.args)) for tile in opened.tile)


def stored_deep(opened: ImageFile.ImageFile, contents: bytes) -> Stored:
    """Returns the values of an image file with more than 8 bits per channel, turned as it is shown.

    Raises:
        ValueError: if they cannot be read on this machine, or one of its colours is transparent.
        OSError: if the file is truncated.
    """
    if "transparency" in opened.info:
        raise ValueError("one of its colours is transparent, which has no value; write it without, or as .npy")
    is_cut = _cuts(opened)  # first, because the orientation of a PNG file is known when it is read
    orientation = _orientation(opened)
    if not is_cut:
        values = np.asarray(opened)[:, :, None]
        if isinstance(opened, TiffImageFile):  # whose pixels are turned by now
            orientation = 1
            if opened.tag_v2.get(_SAMPLE_FORMAT, (1,)) == (1,) and values.dtype == np.int32:
                values = values.view(np.uint32)
    else:
        values = _deep_colours(contents, kind=str(opened.format))
    return np.ascontiguousarray(_turned(values, orientation))


def stored_tiff(contents: bytes) -> Stored | None:
    """Returns the values of a TIFF file that Pillow does not know, such as floats of several channels.

    They are not turned. None stands for no TIFF file.

    Raises:
        ValueError: if imagecodecs is not installed.
    """
    if not contents.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return None
    return _deep_colours(contents, kind="TIFF")


def _deep_colours(contents: bytes, *, kind: str) -> Stored:
    try:
        library: Any = import_module("imagecodecs")
    except ImportError as error:
        raise ValueError(
            f"Pillow does not read its values; pip install 'lightning-gan[fast-png]' reads such {kind} files, or write "
            "it as .npy"
        ) from error
    decode = library.png_decode if kind == "PNG" else library.tiff_decode
    values: np.ndarray = decode(contents)
    if values.ndim == 2:
        return values[:, :, None]
    return np.moveaxis(values, 0, -1) if kind == "TIFF" and _tags(contents).get(_PLANES) == 2 else values


def _tags(contents: bytes) -> ImageFileDirectory_v2:
    """The tags of the first page of a TIFF file, also of one that Pillow does not know."""
    is_large = 43 in contents[2:4]  # BigTIFF
    tags, file = ImageFileDirectory_v2(contents[: 16 if is_large else 8]), BytesIO(contents)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _turned(values: Stored, orientation: int) -> Num[np.ndarray, "shown_height shown_width channels"]:
    """Returns values as the tag of a camera's orientation says that they are shown: 1 leaves them as they are."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values


def size_of_array(contents: bytes) -> tuple[int, int]:
    """Returns the width and height in pixels of a .npy file.

    Raises:
        OSError: if it is no image.
    """
    try:
        height, width = stored_array(contents).shape[:2]
    except (ValueError, EOFError) as error:
        raise OSError(str(error)) from error
    return width, height


def image_of_band(band: Num[np.ndarray, "height width"]) -> Image.Image:
    """Returns one channel as an image of Pillow's: bytes as they are, all else as floats."""
    return Image.fromarray(np.ascontiguousarray(band if band.dtype == np.uint8 else band.astype(np.float32)))
