"""From the bytes of one image file to pixels: mode, cropping and size, at no more cost than the resolution needs."""

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
    contents: bytes, *, image_size: int, image_channels: int, resize: Resize, resolution: int
) -> UInt8[np.ndarray, "height width channels"]:
    """The pixels of one image file at `resolution`.

    Transparent files become RGB or grey as if they lay on white paper; RGBA keeps the alpha channel, and files without
    one are opaque. A size that is a multiple of `resolution` becomes the mean of the pixels covered, any other is
    resampled (Lanczos). Orientation tags of cameras are obeyed.

    Args:
        contents: the bytes of an image file.
        image_size: the full size, which `Resize.exact` demands.
        image_channels: 1 grey, 3 RGB, 4 RGBA.
        resize: what happens to other sizes.
        resolution: the size of the result. JPEG files are decoded at a fraction of their size if that is enough.

    Raises:
        ValueError: as `check_header` does.
        OSError: if the file is no image or is truncated.
    """
    mode = mode_of(image_channels)
    with Image.open(BytesIO(contents)) as opened:
        check_header(opened, image_size=image_size, resize=resize)
        # Twice what is needed: the coarse scaling inside the JPEG decoder shall not be the last filter.
        opened.draft("L" if mode == "L" else "RGB", (2 * resolution, 2 * resolution))
        image = _in_mode(ImageOps.exif_transpose(opened), mode)
    image = _in_size(image, resize, resolution)
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "RGBA" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)


def _in_size(image: Image.Image, resize: Resize, resolution: int) -> Image.Image:
    if resize is Resize.center_crop:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.width % resolution or image.height % resolution:
        return image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    factors = (image.width // resolution, image.height // resolution)
    # Band by band: Pillow would weigh the colours of RGBA by their alpha, and networks that pool do not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])
