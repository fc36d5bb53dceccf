"""Decoding of image files and arrays to images of one size: of 8 bits, or of 16 bits, floats and any channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias, final

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Num
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from lightning_gan.data.decoding import (
    FORMATS,
    Resampling,
    Resize,
    central_part,
    central_pixels,
    check_size,
    covering,
    in_mode,
    mode_of,
    reduced,
    resized,
    resized_to_cover,
)
from lightning_gan.data.images import PixelSize, box_mean
from lightning_gan.data.plain_jpeg import Pixels, pixels_of_plain_jpeg
from lightning_gan.data.plain_png import pixels_of_plain_png
from lightning_gan.data.stored_values import (
    Stored,
    has_signed_bytes,
    image_of_band,
    is_array,
    is_deep,
    range_of_deep,
    shown_size,
    stored_array,
    stored_deep,
    stored_tiff,
)
from lightning_gan.data.value_range import BYTES, ValueRange, Values, ValuesError

Decoded: TypeAlias = Pixels | Values
"""One decoded image: bytes, or floats in [-1, 1]."""


def tensor_of(pixels: Decoded) -> Tensor:
    """Returns a decoded image as a tensor of its own, `channels height width`."""
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


@final
@dataclass(frozen=True, kw_only=True)
class ImageDecoder:
    """Decodes image files and .npy files (`height width` or `height width channels`) to images of one size.

    With a range of values, images are floats in [-1, 1], whatever the type in the file. Without one they are bytes,
    and arrays must have bytes.

    Of 8 bits, transparent pixels are composited onto white for RGB and grey. RGBA keeps the alpha channel, and files
    without one are opaque. Orientation tags of cameras are applied. Of animations and of files with several pages, the
    first image is read.

    All methods raise ValuesError if a file has another number of channels, values that the range does not hold, or more
    than 8 bits without a range; ValueError if the size differs and `resize` is exact, or the values cannot be read on
    this machine; and OSError if the file is not an image or is truncated.

    Args:
        size: full height and width in pixels; `Resize.exact` refuses others.
        image_channels: number of channels, which must be those of the file: 1 grey, 3 RGB, 4 RGBA, to which images of 8
            bits are converted; of arrays, and of more than 8 bits, any.
        resize: treatment of other sizes.
        resampling: how other sizes are resized.
        value_range: the values that become -1 and 1; None for bytes.
    """

    size: PixelSize
    image_channels: int
    resize: Resize = Resize.exact
    resampling: Resampling = Resampling.box_or_lanczos
    value_range: ValueRange | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the decoded values: bytes, or floats of 32 bits in [-1, 1]."""
        return np.dtype(np.uint8 if self.value_range is None else np.float32)

    def shape_at(self, resolution: int) -> tuple[int, int, int]:
        """Returns the channels, height and width of the images at a resolution, which is the height in pixels."""
        size = self.size.at(resolution)
        return self.image_channels, size.height, size.width

    def levels(self, contents: bytes, *, resolutions: Sequence[int]) -> list[Decoded]:
        """Returns the pixels of one image file, at each of the resolutions.

        Every resolution is the box mean of the image at its full size, rounded once if it is of bytes, as `box_mean`
        computes it. So the pixels are the same from this function, from memory, and from a cache. JPEG decoders could
        decode lower resolutions faster, but with other pixels.

        Args:
            contents: bytes of the file.
            resolutions: heights of the results in pixels, each the full height divided by a power of two.
        """
        if self._is_of_bytes(contents):
            return [*self._pixels(contents, resolutions=resolutions)]
        full = self._in_size(self.scaled_or_bytes(self._stored(contents)))
        images = rearrange(torch.from_numpy(full), "height width channels -> 1 channels height width")
        levels = [box_mean(images, resolution=resolution)[0] for resolution in resolutions]
        return [rearrange(level.numpy(), "channels height width -> height width channels") for level in levels]

    def whole(self, contents: bytes) -> Decoded:
        """Returns all pixels of one image file, resized until they just cover the size; `resize` does not count."""
        if self._is_of_bytes(contents):
            return self._whole_pixels(contents)
        values = self.scaled_or_bytes(self._stored(contents))
        return _by_band(values, lambda band: resized_to_cover(band, self.size, self.resampling))

    def values(self, contents: bytes) -> Stored:
        """Returns the values of one image file in the size, which a file of them tells `levels` as this file does.

        Without a range they are bytes. With one they are the original values: those of a file that has the size keep
        their type and are the same; resized ones become floats and are not rounded to whole numbers, because `levels`
        does not. They are floats of 32 bits, whose last place is below a millionth in [-1, 1], or of 64 bits if the
        range is so narrow beside its values that it would not be.
        """
        if self.value_range is None:
            (pixels,) = self.levels(contents, resolutions=[self.size.height])
            return pixels
        stored = self._stored(contents)
        values = self.scaled_or_bytes(stored)
        if stored.shape[:2] == (self.size.height, self.size.width):
            return stored
        low, high = self.value_range.low, self.value_range.high
        original = self.value_range.original(torch.from_numpy(self._in_size(values))).numpy().clip(low, high)
        # 2^-24 of the largest value is half of a float's last place, and 2 / (high - low) times as much in [-1, 1].
        return original.astype(np.float64 if max(abs(low), abs(high)) > 8 * (high - low) else np.float32)

    def scaled_or_bytes(self, stored: Stored) -> Decoded:
        """Returns the values of an image as floats in [-1, 1], or bytes as they are without a range.

        Raises:
            ValuesError: if they are no bytes and there is no range, the range does not hold them, or they are bytes and
                it is one of more than 8 bits.
        """
        if self.value_range is None:
            if stored.dtype != np.uint8:
                low, high = np.nanmin(stored), np.nanmax(stored)
                raise ValuesError(
                    f"it has {stored.dtype} values from {low:g} to {high:g}",
                    "write it as uint8, or give the range of all images (fit --data.value_range '[LOWEST, HIGHEST]'; "
                    "prepare, test --reals: --value_range)",
                )
            return stored
        if stored.dtype == np.uint8 and self.value_range.high > BYTES[1]:
            raise ValuesError(
                f"it has 8 bits per channel, and value_range {self.value_range} is for more",
                "leave it out, or convert it",
            )
        return self.value_range.scaled(stored)

    def _is_of_bytes(self, contents: bytes) -> bool:
        """Whether a file is read as an image file of 8 bits."""
        return self.value_range is None and not is_array(contents)

    # ------------------------------------------------------------------ image files of 8 bits

    def _pixels(self, contents: bytes, *, resolutions: Sequence[int]) -> list[Pixels]:
        mode = mode_of(self.image_channels)
        with self._opened(contents, resize=self.resize) as opened:
            is_full = all(resolution == self.size.height for resolution in resolutions)
            if opened.size == (self.size.width, self.size.height) and is_full:
                pixels = _pixels_of_plain(opened, contents, mode=mode)
                if pixels is not None:
                    return [pixels] * len(resolutions)
            image = self._decoded(opened, mode=mode)
        if self.resize is Resize.exact:
            check_size(image.size, self.size)  # now that it is turned
        image = self._resized(image)
        return [_pixels_of(reduced(image, (self.size.height // resolution,) * 2)) for resolution in resolutions]

    def _whole_pixels(self, contents: bytes) -> Pixels:
        mode = mode_of(self.image_channels)
        with self._opened(contents, resize=Resize.shorter_side) as opened:
            if opened.size == covering(opened, self.size):
                pixels = _pixels_of_plain(opened, contents, mode=mode)
                if pixels is not None:
                    return pixels
            image = self._decoded(opened, mode=mode)
        return _pixels_of(resized_to_cover(image, self.size, self.resampling))

    def _opened(self, contents: bytes, *, resize: Resize) -> ImageFile.ImageFile:
        """Opens an image file, which is checked by its header alone."""
        image = Image.open(BytesIO(contents), formats=FORMATS)
        if is_deep(image):
            raise ValuesError(
                f"its pixels ({image.mode}) have {'a sign' if has_signed_bytes(image) else 'more than 8 bits'}",
                "convert it to 8 bits per channel, or give the range of all images "
                f"(fit --data.value_range '{range_of_deep(image)}'; prepare, test --reals: --value_range)",
            )
        width, height = self.size.width, self.size.height
        if resize is Resize.exact and image.size not in {(width, height), (height, width)}:
            check_size(shown_size(image), self.size)
        return image

    def _decoded(self, opened: ImageFile.ImageFile, *, mode: str) -> Image.Image:
        # Large JPEG files need not be decoded at their full size. Twice the final size is decoded, so that the coarse
        # scaling inside the decoder is not the last filter.
        enough = (2 * self.size.width, 2 * self.size.height)
        turned = self.size.given_width is not None and shown_size(opened) != opened.size
        opened.draft("L" if mode == "L" else "RGB", enough[::-1] if turned else enough)
        ImageOps.exif_transpose(opened, in_place=True)
        return in_mode(opened, mode)

    def _resized(self, image: Image.Image) -> Image.Image:
        if self.resize is Resize.shorter_side:
            return central_pixels(resized_to_cover(image, self.size, self.resampling), self.size)
        if self.resize is Resize.center_crop:
            image = central_part(image, self.size)
        return resized(image, (self.size.width, self.size.height), self.resampling)

    # ------------------------------------------------------------------ all others

    def _stored(self, contents: bytes) -> Stored:
        """All values of a file, of its own type, at its own size."""
        stored = self._with_its_channels(contents)
        channels = stored.shape[2]
        if channels == self.image_channels:
            return stored
        if is_array(contents) and stored.shape[0] == self.image_channels:
            raise ValuesError(
                f"its shape {list(stored.shape)} is read as [height, width, channels], and image_channels is "
                f"{self.image_channels}",
                "if it is [channels, height, width], write array.transpose(1, 2, 0)",
            )
        raise ValuesError(
            f"it has {channels} channel{'s' * (channels != 1)}, not {self.image_channels}",
            f"set image_channels to {channels} (--data.image_channels {channels}; prepare, test --reals: "
            "--image_channels)",
        )

    def _with_its_channels(self, contents: bytes) -> Stored:
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
            return _pixels_of(in_mode(opened, mode_of(self.image_channels)))

    def _in_size(self, values: Decoded) -> Num[np.ndarray, "{self.size.height} {self.size.width} channels"]:
        if self.resize is Resize.exact:
            check_size(values.shape[1::-1], self.size)
        return _by_band(values, self._resized)


def _pixels_of_plain(opened: ImageFile.ImageFile, contents: bytes, *, mode: str) -> Pixels | None:
    """The pixels of a file that another library decodes as Pillow does, in less time; None for all other files."""
    if opened.format == "PNG":
        return pixels_of_plain_png(opened, contents, mode=mode)
    return pixels_of_plain_jpeg(opened, contents, mode=mode)


def _pixels_of(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _by_band(
    values: Decoded, work: Callable[[Image.Image], Image.Image]
) -> Num[np.ndarray, "new_height new_width channels"]:
    """Changes every channel by a function of Pillow's images. Filters with negative lobes leave [-1, 1] no more."""
    bands = [np.asarray(work(image_of_band(values[:, :, band]))) for band in range(values.shape[2])]
    changed = np.stack(bands, axis=2)
    return changed if changed.dtype == np.uint8 else changed.clip(-1, 1)
