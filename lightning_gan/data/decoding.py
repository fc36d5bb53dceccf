"""From the bytes of one image file to pixels: mode, cropping and size, once for all resolutions that are wanted."""

from collections.abc import Sequence
from enum import Enum
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Resize(Enum):
    """What happens to an image file whose size is not the one wanted."""

    exact = "exact"
    """It is refused."""

    center_crop = "center_crop"
    """Its central square is cut out and resized."""

    squash = "squash"
    """The whole of it is resized, which changes its proportions."""


def mode_of(image_channels: int) -> str:
    """Pillow's name for an image of so many channels.

    Raises:
        ValueError: if image files cannot be read with so many channels.
    """
    if image_channels not in _MODES:
        raise ValueError(
            f"image_channels={image_channels} cannot be read from image files; give 1 (grey), 3 (RGB) or 4 (RGBA)"
        )
    return _MODES[image_channels]


def check_header(image: Image.Image, *, image_size: int, resize: Resize) -> None:
    """Refuses what the header alone tells.

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
    """The pixels of one image file, at each of the resolutions.

    Transparent files become RGB or grey as if they lay on white paper; RGBA keeps the alpha channel, and files without
    one are opaque. Orientation tags of cameras are obeyed. A size that is a multiple of `image_size` becomes the mean
    of the pixels covered, any other is resampled (Lanczos).

    Every resolution is the box mean of the image at its full size, rounded once, as `box_mean` computes it: what
    training sees does not depend on where the pixels come from, this function, memory or a cache. JPEG decoders could
    give lower resolutions for less, but only other pixels.

    Args:
        contents: the bytes of an image file.
        image_size: the full size, which `Resize.exact` demands.
        image_channels: 1 grey, 3 RGB, 4 RGBA.
        resize: what happens to other sizes.
        resolutions: the sizes of the results, `image_size` or what halving it gives.

    Raises:
        ValueError: as `check_header` does.
        OSError: if the file is no image or is truncated.
    """
    mode = mode_of(image_channels)
    with Image.open(BytesIO(contents)) as opened:
        check_header(opened, image_size=image_size, resize=resize)
        # Larger JPEG files need not be decoded at full; twice what is needed, because the coarse scaling inside the
        # decoder shall not be the last filter.
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
    """Box means over so many columns and rows."""
    # Band by band: Pillow would weigh the colours of RGBA by their alpha, and networks that pool do not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])


def _pixels_of(image: Image.Image) -> UInt8[np.ndarray, "height width channels"]:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
