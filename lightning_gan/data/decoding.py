"""Decoding of one image file to pixels: colour mode, cropping and size, at several resolutions at once."""

from collections.abc import Sequence
from enum import Enum
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Resize(Enum):
    """Treatment of an image file whose size is not `image_size`."""

    exact = "exact"
    """The file is refused with an error."""

    center_crop = "center_crop"
    """The central square is cut out and resized."""

    squash = "squash"
    """The whole image is resized, which changes its proportions."""


def mode_of(image_channels: int) -> str:
    """Returns Pillow's name for images with 1, 3 or 4 channels.

    Raises:
        ValueError: for another number of channels.
    """
    if image_channels not in _MODES:
        raise ValueError(
            f"image_channels={image_channels} cannot be read from image files; give 1 (grey), 3 (RGB) or 4 (RGBA)"
        )
    return _MODES[image_channels]


def check_header(image: Image.Image, *, image_size: int, resize: Resize) -> None:
    """Checks an image file by its header alone.

    Args:
        image: the opened file.
        image_size: full size in pixels.
        resize: treatment of other sizes.

    Raises:
        ValueError: if the pixels have more than 8 bits, or the size differs and `resize` is exact.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels ({image.mode}) have more than 8 bits; convert it to 8 bits per channel")
    if resize is Resize.exact and image.size != (image_size, image_size):
        width, height = image.size
        raise ValueError(
            f"its size is {width}x{height}, not {image_size}x{image_size}; "
            "set resize to center_crop or squash, or change image_size"
        )


def decode(
    contents: bytes, *, image_size: int, image_channels: int, resize: Resize, resolutions: Sequence[int]
) -> list[UInt8[np.ndarray, "height width channels"]]:
    """Returns the pixels of one image file, at each of the resolutions.

    For RGB and grey, transparent pixels are composited onto white. RGBA keeps the alpha channel, and files without one
    are opaque. Orientation tags of cameras are applied. If the size is a multiple of `image_size`, each pixel is the
    mean of the pixels it covers; any other size is resampled (Lanczos).

    Every resolution is the box mean of the image at its full size, rounded once, as `box_mean` computes it. So the
    pixels are the same from this function, from memory, and from a cache. JPEG decoders could decode lower resolutions
    faster, but with other pixels.

    Args:
        contents: bytes of an image file.
        image_size: full size in pixels; `Resize.exact` refuses other sizes.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        resize: treatment of other sizes.
        resolutions: sizes of the results in pixels, each `image_size` divided by a power of two.

    Raises:
        ValueError: if the pixels have more than 8 bits, or the size differs and `resize` is exact.
        OSError: if the file is not an image or is truncated.
    """
    mode = mode_of(image_channels)
    with Image.open(BytesIO(contents)) as opened:
        check_header(opened, image_size=image_size, resize=resize)
        # Large JPEG files need not be decoded at their full size. Twice the final size is decoded, so that the coarse
        # scaling inside the decoder is not the last filter.
        opened.draft("L" if mode == "L" else "RGB", (2 * image_size, 2 * image_size))
        image = _in_mode(ImageOps.exif_transpose(opened), mode)
    image = _in_size(image, resize, image_size)
    return [_pixels_of(_reduced(image, (image_size // resolution,) * 2)) for resolution in resolutions]


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "RGBA" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)


def _in_size(image: Image.Image, resize: Resize, image_size: int) -> Image.Image:
    if resize is Resize.center_crop:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.width % image_size or image.height % image_size:
        return image.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return _reduced(image, (image.width // image_size, image.height // image_size))


def _reduced(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Returns box means over `factors` columns and rows."""
    # Band by band, because Pillow weights the colours of RGBA by alpha, and pooling in networks does not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])


def _pixels_of(image: Image.Image) -> UInt8[np.ndarray, "height width channels"]:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
