"""Decoding of any image files: of any number of channels, 16 bits or floats, and those of 8 bits by `decoding`."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Num
from PIL import Image, ImageOps, UnidentifiedImageError

from lightning_gan.data.decoding import (
    FORMATS,
    Resampling,
    Resize,
    check_size,
    decode,
    decode_whole,
    in_mode,
    in_size,
    mode_of,
    resized_to_cover,
)
from lightning_gan.data.images import PixelSize, box_mean
from lightning_gan.data.plain_jpeg import Pixels
from lightning_gan.data.stored_values import (
    Stored,
    image_of_band,
    is_array,
    is_deep,
    stored_array,
    stored_deep,
    stored_tiff,
)
from lightning_gan.data.value_range import BYTES, ValueRange, Values, ValuesError

Decoded: TypeAlias = Pixels | Values
"""One decoded image: bytes, or floats in [-1, 1]."""


def decode_any(
    contents: bytes,
    *,
    size: PixelSize,
    image_channels: int,
    resize: Resize,
    resampling: Resampling,
    resolutions: Sequence[int],
    value_range: ValueRange | None,
) -> list[Decoded]:
    """Returns the pixels of one image file, at each of the resolutions.

    With a range of values they are floats in [-1, 1], whatever the type in the file, and lower resolutions are means
    that are not rounded. Without one they are bytes, and arrays must have bytes.

    Args:
        contents: bytes of an image file, or of a .npy file: `height width` or `height width channels`.
        size: full size; `Resize.exact` refuses others.
        image_channels: number of channels, which must be those of the file. Images of 8 bits are converted.
        resize: treatment of other sizes.
        resampling: how other sizes are resized.
        resolutions: heights of the results in pixels, each the full height divided by a power of two.
        value_range: the values that become -1 and 1; None for bytes.

    Raises:
        ValuesError: if the file has another number of channels, values that the range does not hold, or more than 8
            bits without a range.
        ValueError: if the size differs and `resize` is exact, or the values cannot be read on this machine.
        OSError: if the file is not an image or is truncated.
    """
    if _is_of_bytes(contents, value_range):
        return [
            *decode(
                contents,
                image_size=size.height,
                image_width=size.width,
                image_channels=image_channels,
                resize=resize,
                resolutions=resolutions,
                resampling=resampling,
            )
        ]
    values = scaled_or_bytes(_stored(contents, image_channels=image_channels), value_range=value_range)
    full = _in_size(values, size=size, resize=resize, resampling=resampling)
    images = rearrange(torch.from_numpy(full), "height width channels -> 1 channels height width")
    levels = [box_mean(images, resolution=resolution)[0] for resolution in resolutions]
    return [rearrange(level.numpy(), "channels height width -> height width channels") for level in levels]


def decode_any_whole(
    contents: bytes,
    *,
    size: PixelSize,
    image_channels: int,
    resampling: Resampling,
    value_range: ValueRange | None,
) -> Decoded:
    """Returns all pixels of one image file, resized until they just cover a size.

    The arguments and errors are those of `decode_any`.
    """
    if _is_of_bytes(contents, value_range):
        return decode_whole(
            contents,
            shorter_side=size.height,
            width=size.width,
            image_channels=image_channels,
            resampling=resampling,
        )
    values = scaled_or_bytes(_stored(contents, image_channels=image_channels), value_range=value_range)
    return _by_band(values, lambda band: resized_to_cover(band, size, resampling))


def values_in_size(
    contents: bytes,
    *,
    size: PixelSize,
    image_channels: int,
    resize: Resize,
    resampling: Resampling,
    value_range: ValueRange | None,
) -> Stored:
    """Returns the values of one image file at a size, which a file of them tells `decode_any` as this file does.

    Without a range they are bytes. With one they are the original values: those of a file that has the size keep their
    type and are the same; resized ones become floats and are not rounded to whole numbers, because `decode_any` does
    not. They are floats of 32 bits, whose last place is below a millionth in [-1, 1], or of 64 bits if the range is so
    narrow beside its values that it would not be.

    The arguments and errors are those of `decode_any`.
    """
    if value_range is None:
        settings: dict[str, Any] = {"image_channels": image_channels, "resize": resize, "resampling": resampling}
        (pixels,) = decode_any(contents, size=size, resolutions=[size.height], value_range=None, **settings)
        return pixels
    stored = _stored(contents, image_channels=image_channels)
    values = scaled_or_bytes(stored, value_range=value_range)
    if stored.shape[:2] == (size.height, size.width):
        return stored
    resized = torch.from_numpy(_in_size(values, size=size, resize=resize, resampling=resampling))
    original = value_range.original(resized).numpy().clip(value_range.low, value_range.high)
    # 2^-24 of the largest value is half of a float's last place, and 2 / (high - low) times as much in [-1, 1].
    is_narrow = max(abs(value_range.low), abs(value_range.high)) > 8 * (value_range.high - value_range.low)
    return original.astype(np.float64 if is_narrow else np.float32)


def scaled_or_bytes(stored: Stored, *, value_range: ValueRange | None) -> Decoded:
    """Returns the values of an image as floats in [-1, 1], or bytes as they are without a range.

    Raises:
        ValuesError: if they are no bytes and there is no range, the range does not hold them, or they are bytes and it
            is one of more than 8 bits.
    """
    if value_range is None:
        if stored.dtype != np.uint8:
            low, high = np.nanmin(stored), np.nanmax(stored)
            raise ValuesError(
                f"it has {stored.dtype} values from {low:g} to {high:g}; write it as uint8, or give the range of all "
                "images (fit --data.value_range '[LOWEST, HIGHEST]'; prepare, test --reals: --value_range)"
            )
        return stored
    if stored.dtype == np.uint8 and value_range.high > BYTES[1]:
        raise ValuesError(
            f"it has 8 bits per channel, and value_range {value_range} is for more; leave it out, or convert it"
        )
    return value_range.scaled(stored)


def _is_of_bytes(contents: bytes, value_range: ValueRange | None) -> bool:
    """Whether a file is read as an image file of 8 bits, by `decoding`."""
    return value_range is None and not is_array(contents)


def _stored(contents: bytes, *, image_channels: int) -> Stored:
    """All values of a file, of its own type, at its own size."""
    stored = _with_its_channels(contents, image_channels=image_channels)
    channels = stored.shape[2]
    if channels == image_channels:
        return stored
    if is_array(contents) and stored.shape[0] == image_channels:
        raise ValuesError(
            f"its shape {list(stored.shape)} is read as [height, width, channels], and image_channels is "
            f"{image_channels}; if it is [channels, height, width], write array.transpose(1, 2, 0)"
        )
    raise ValuesError(
        f"it has {channels} channel{'s' * (channels != 1)}, not {image_channels}; set image_channels to {channels} "
        f"(--data.image_channels {channels}; prepare, test --reals: --image_channels)"
    )


def _with_its_channels(contents: bytes, *, image_channels: int) -> Stored:
    if is_array(contents):
        return stored_array(contents)
    try:
        opened = Image.open(BytesIO(contents), formats=FORMATS)
    except UnidentifiedImageError:
        found = stored_tiff(contents)
        if found is None:
            raise
        return found
    with opened:
        if is_deep(opened):
            return stored_deep(opened, contents)
        ImageOps.exif_transpose(opened, in_place=True)
        pixels = np.asarray(in_mode(opened, mode_of(image_channels)))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _in_size(
    values: Decoded, *, size: PixelSize, resize: Resize, resampling: Resampling
) -> Num[np.ndarray, "{size.height} {size.width} channels"]:
    if resize is Resize.exact:
        check_size(values.shape[1::-1], size)
    return _by_band(values, lambda band: in_size(band, resize, size, resampling))


def _by_band(
    values: Decoded, work: Callable[[Image.Image], Image.Image]
) -> Num[np.ndarray, "new_height new_width channels"]:
    """Changes every channel by a function of Pillow's images. Filters with negative lobes leave [-1, 1] no more."""
    bands = [np.asarray(work(image_of_band(values[:, :, band]))) for band in range(values.shape[2])]
    changed = np.stack(bands, axis=2)
    return changed if changed.dtype == np.uint8 else changed.clip(-1, 1)
