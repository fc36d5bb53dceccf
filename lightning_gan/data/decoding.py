"""Decoding of one image file to pixels: colour mode, cropping and size, at several resolutions at once."""

import re
from collections.abc import Sequence
from enum import Enum
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from lightning_gan.data.plain_jpeg import Pixels, pixels_of_plain_jpeg
from lightning_gan.data.plain_png import pixels_of_plain_png

_HAS_AVIF = ".avif" in Image.registered_extensions()  # Pillow may be built without it

IMAGE_SUFFIXES = (
    *(".avif",) * _HAS_AVIF,
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""Endings of the names of image files; the contents may be any of these formats, whatever the ending says."""

# Pillow knows more formats, of which some start other programs.
_FORMATS = (*("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"), *("AVIF",) * _HAS_AVIF)  # the most frequent ones first

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Resize(Enum):
    """Treatment of an image file whose size is not `image_size`."""

    exact = "exact"
    """The file is refused with an error."""

    center_crop = "center_crop"
    """The central square is cut out and resized."""

    squash = "squash"
    """The whole image is resized, which changes its proportions."""

    shorter_side = "shorter_side"
    """The whole image is resized until its shorter side fits, and its proportions stay. Then the central square is cut
    out, or a random one where random crops are set. torchvision's Resize and CenterCrop do this."""


class Resampling(Enum):
    """How an image is resized."""

    box_or_lanczos = "box_or_lanczos"
    """Each pixel is the mean of the pixels it covers, if the size divides the image's; else as lanczos."""

    lanczos = "lanczos"
    """Lanczos' windowed sinc over three lobes, once called ANTIALIAS in Pillow."""

    bilinear = "bilinear"
    """A triangle of two pixels of the result, the default of torchvision, scipy's imresize and Torch."""


_FILTERS = {
    Resampling.box_or_lanczos: Image.Resampling.LANCZOS,
    Resampling.lanczos: Image.Resampling.LANCZOS,
    Resampling.bilinear: Image.Resampling.BILINEAR,
}


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


def size_of(contents: bytes) -> tuple[int, int]:
    """Returns the width and height of one image file in pixels, as it is shown, without decoding its pixels.

    Args:
        contents: bytes of an image file.

    Raises:
        OSError: if the file is not an image.
    """
    with Image.open(BytesIO(contents), formats=_FORMATS) as opened:
        turned = opened.getexif().get(ExifTags.Base.Orientation, 1) >= 5  # width and height change places
        width, height = opened.size
    return (height, width) if turned else (width, height)


def _check_header(image: ImageFile.ImageFile, *, image_size: int, resize: Resize) -> None:
    """Checks an image file by its header alone.

    Args:
        image: the opened file.
        image_size: full size in pixels.
        resize: treatment of other sizes.

    Raises:
        ValueError: if the pixels have more than 8 bits per channel, or the size differs and `resize` is exact.
    """
    # Pillow would cut 16 bits per channel of colours to 8, which only the way it reads them tells.
    cuts = any(re.search(";16[BLN]", str(tile.args)) for tile in image.tile)
    if image.mode.startswith(("I", "F")) or cuts:
        raise ValueError(f"its pixels ({image.mode}) have more than 8 bits; convert it to 8 bits per channel")
    if resize is Resize.exact and image.size != (image_size, image_size):
        width, height = image.size
        raise ValueError(
            f"its size is {width}x{height}, not {image_size}x{image_size}; "
            "set resize to center_crop or squash, or change image_size"
        )


def decode(
    contents: bytes,
    *,
    image_size: int,
    image_channels: int,
    resize: Resize,
    resolutions: Sequence[int],
    resampling: Resampling = Resampling.box_or_lanczos,
) -> list[Pixels]:
    """Returns the pixels of one image file, at each of the resolutions.

    For RGB and grey, transparent pixels are composited onto white. RGBA keeps the alpha channel, and files without one
    are opaque. Orientation tags of cameras are applied. Of animations and of files with several pages, the first image
    is read.

    Every resolution is the box mean of the image at its full size, rounded once, as `box_mean` computes it. So the
    pixels are the same from this function, from memory, and from a cache. JPEG decoders could decode lower resolutions
    faster, but with other pixels.

    Args:
        contents: bytes of an image file.
        image_size: full size in pixels; `Resize.exact` refuses other sizes.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        resize: treatment of other sizes.
        resolutions: sizes of the results in pixels, each `image_size` divided by a power of two.
        resampling: how other sizes are resized.

    Raises:
        ValueError: if the pixels have more than 8 bits, or the size differs and `resize` is exact.
        OSError: if the file is not an image or is truncated.
    """
    mode = mode_of(image_channels)
    with _opened(contents, image_size=image_size, resize=resize) as opened:
        if opened.size == (image_size, image_size) and all(resolution == image_size for resolution in resolutions):
            pixels = _pixels_of_plain(opened, contents, mode=mode)
            if pixels is not None:
                return [pixels] * len(resolutions)
        image = _decoded(opened, mode=mode, image_size=image_size)
    image = _in_size(image, resize, image_size, resampling)
    return [_pixels_of(_reduced(image, (image_size // resolution,) * 2)) for resolution in resolutions]


def decode_whole(contents: bytes, *, shorter_side: int, image_channels: int, resampling: Resampling) -> Pixels:
    """Returns all pixels of one image file, resized until its shorter side fits.

    Args:
        contents: bytes of an image file.
        shorter_side: width of an upright image in pixels, height of a wide one.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        resampling: how the image is resized.

    Raises:
        ValueError: if the pixels have more than 8 bits.
        OSError: if the file is not an image or is truncated.
    """
    mode = mode_of(image_channels)
    with _opened(contents, image_size=shorter_side, resize=Resize.shorter_side) as opened:
        if min(opened.size) == shorter_side:
            pixels = _pixels_of_plain(opened, contents, mode=mode)
            if pixels is not None:
                return pixels
        image = _decoded(opened, mode=mode, image_size=shorter_side)
    return _pixels_of(resized_shorter_side(image, shorter_side, resampling))


def resized(image: Image.Image, size: tuple[int, int], resampling: Resampling) -> Image.Image:
    """Returns an image resized to a width and height in pixels."""
    divides = image.width % size[0] == 0 and image.height % size[1] == 0
    if divides and resampling is Resampling.box_or_lanczos:
        return _reduced(image, (image.width // size[0], image.height // size[1]))
    return image if image.size == size else image.resize(size, _FILTERS[resampling])


def resized_shorter_side(image: Image.Image, size: int, resampling: Resampling) -> Image.Image:
    """Returns an image resized until its shorter side has `size` pixels; the longer one is rounded down."""
    shorter = min(image.size)
    return resized(image, (size * image.width // shorter, size * image.height // shorter), resampling)


def central_square(image: Image.Image) -> Image.Image:
    """Returns the central square, as wide as the image's shorter side."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _opened(contents: bytes, *, image_size: int, resize: Resize) -> ImageFile.ImageFile:
    opened = Image.open(BytesIO(contents), formats=_FORMATS)
    _check_header(opened, image_size=image_size, resize=resize)
    return opened


def _pixels_of_plain(opened: ImageFile.ImageFile, contents: bytes, *, mode: str) -> Pixels | None:
    """The pixels of a file that another library decodes as Pillow does, in less time; None for all other files."""
    if opened.format == "PNG":
        return pixels_of_plain_png(opened, contents, mode=mode)
    return pixels_of_plain_jpeg(opened, contents, mode=mode)


def _decoded(opened: ImageFile.ImageFile, *, mode: str, image_size: int) -> Image.Image:
    # Large JPEG files need not be decoded at their full size. Twice the final size is decoded, so that the coarse
    # scaling inside the decoder is not the last filter.
    opened.draft("L" if mode == "L" else "RGB", (2 * image_size, 2 * image_size))
    ImageOps.exif_transpose(opened, in_place=True)
    return _in_mode(opened, mode)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "RGBA" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _in_size(image: Image.Image, resize: Resize, image_size: int, resampling: Resampling) -> Image.Image:
    if resize is Resize.shorter_side:
        return central_square(resized_shorter_side(image, image_size, resampling))
    if resize is Resize.center_crop:
        image = central_square(image)
    return resized(image, (image_size, image_size), resampling)


def _reduced(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Returns box means over `factors` columns and rows."""
    # Band by band, because Pillow weights the colours of RGBA by alpha, and pooling in networks does not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])


def _pixels_of(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
