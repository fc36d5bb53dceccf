"""Decoding of one image file to pixels: colour mode, cropping and size, at several resolutions at once."""

from collections.abc import Sequence
from enum import Enum
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from lightning_gan.data.images import PixelSize, pixel_size
from lightning_gan.data.plain_jpeg import Pixels, pixels_of_plain_jpeg
from lightning_gan.data.plain_png import pixels_of_plain_png
from lightning_gan.data.stored_values import (
    is_array,
    is_deep,
    range_of_deep,
    shown_size,
    size_of_array,
    stored_tiff,
)
from lightning_gan.data.value_range import ValuesError

_HAS_AVIF = ".avif" in Image.registered_extensions()  # Pillow may be built without it

IMAGE_SUFFIXES = (
    *(".avif",) * _HAS_AVIF,
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""Endings of the names of image files; the contents may be any of these formats, whatever the ending says."""

# Pillow knows more formats, of which some start other programs.
FORMATS = (*("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"), *("AVIF",) * _HAS_AVIF)  # the most frequent ones first

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

PICTURES = tuple(_MODES)
"""Numbers of channels of pictures of 8 bits: grey, RGB and RGBA."""


class Resize(Enum):
    """Treatment of an image file whose size is not that of the images, `image_size` and `image_width`."""

    exact = "exact"
    """The file is refused with an error."""

    center_crop = "center_crop"
    """The central square is cut out and resized; for images that are no squares, the largest central rectangle of their
    proportions."""

    squash = "squash"
    """The whole image is resized, which changes its proportions."""

    shorter_side = "shorter_side"
    """The whole image is resized until its shorter side fits, and its proportions stay. Then the central square is cut
    out, or a random one where random crops are set. torchvision's Resize and CenterCrop do this. For images that are no
    squares, it is resized until it covers their rectangle, which is cut out."""


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
        contents: bytes of an image file, or of a .npy file.

    Raises:
        ValueError: if it is a TIFF file that cannot be read on this machine.
        OSError: if the file is not an image.
    """
    if is_array(contents):
        return size_of_array(contents)
    try:
        opened = Image.open(BytesIO(contents), formats=FORMATS)
    except UnidentifiedImageError:
        if (values := stored_tiff(contents)) is None:
            raise
        return values.shape[1], values.shape[0]
    with opened:
        return shown_size(opened)


def _check_header(image: ImageFile.ImageFile, *, size: PixelSize, resize: Resize) -> None:
    """Checks an image file by its header alone.

    Args:
        image: the opened file.
        size: full size.
        resize: treatment of other sizes.

    Raises:
        ValuesError: if the pixels have more than 8 bits per channel.
        ValueError: if the size differs and `resize` is exact.
    """
    if is_deep(image):
        raise ValuesError(
            f"its pixels ({image.mode}) have more than 8 bits; convert it to 8 bits per channel, or give the range of "
            f"all images (fit --data.value_range '{range_of_deep(image)}'; prepare, test --reals: --value_range)"
        )
    if resize is Resize.exact and image.size not in {(size.width, size.height), (size.height, size.width)}:
        check_size(shown_size(image), size)


def check_size(found: tuple[int, int], size: PixelSize) -> None:
    """Checks the width and height in pixels of one image.

    Raises:
        ValueError: if they are not those of `size`.
    """
    width, height = found
    if found != (size.width, size.height):
        more = " and image_width" * (width != height or size.given_width is not None)
        raise ValueError(
            f"its size is {width}x{height}, not {size}; set resize to center_crop or squash, or change image_size{more}"
        )


def decode(
    contents: bytes,
    *,
    image_size: int,
    image_channels: int,
    resize: Resize,
    resolutions: Sequence[int],
    resampling: Resampling = Resampling.box_or_lanczos,
    image_width: int | None = None,
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
        image_size: full height in pixels; `Resize.exact` refuses other sizes.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        resize: treatment of other sizes.
        resolutions: heights of the results in pixels, each `image_size` divided by a power of two.
        resampling: how other sizes are resized.
        image_width: full width in pixels; None is a square.

    Raises:
        ValueError: if the pixels have more than 8 bits, or the size differs and `resize` is exact.
        OSError: if the file is not an image or is truncated.
    """
    mode = mode_of(image_channels)
    size = pixel_size(image_size, image_width)
    with opened_image(contents, size=size, resize=resize) as opened:
        if opened.size == (size.width, size.height) and all(resolution == image_size for resolution in resolutions):
            pixels = _pixels_of_plain(opened, contents, mode=mode)
            if pixels is not None:
                return [pixels] * len(resolutions)
        image = _decoded(opened, mode=mode, size=size)
    if resize is Resize.exact:
        check_size(image.size, size)  # now that it is turned
    image = in_size(image, resize, size, resampling)
    return [_pixels_of(_reduced(image, (image_size // resolution,) * 2)) for resolution in resolutions]


def decode_whole(
    contents: bytes, *, shorter_side: int, image_channels: int, resampling: Resampling, width: int | None = None
) -> Pixels:
    """Returns all pixels of one image file, resized until its shorter side fits, or until it covers a rectangle.

    Args:
        contents: bytes of an image file.
        shorter_side: width of an upright image in pixels, height of a wide one.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        resampling: how the image is resized.
        width: width in pixels of a rectangle of the height `shorter_side`, which is covered; None is a square.

    Raises:
        ValueError: if the pixels have more than 8 bits.
        OSError: if the file is not an image or is truncated.
    """
    mode = mode_of(image_channels)
    size = pixel_size(shorter_side, width)
    with opened_image(contents, size=size, resize=Resize.shorter_side) as opened:
        if opened.size == _covering(opened, size):
            pixels = _pixels_of_plain(opened, contents, mode=mode)
            if pixels is not None:
                return pixels
        image = _decoded(opened, mode=mode, size=size)
    return _pixels_of(resized_to_cover(image, size, resampling))


def resized(image: Image.Image, size: tuple[int, int], resampling: Resampling) -> Image.Image:
    """Returns an image resized to a width and height in pixels."""
    divides = image.width % size[0] == 0 and image.height % size[1] == 0
    if divides and resampling is Resampling.box_or_lanczos:
        return _reduced(image, (image.width // size[0], image.height // size[1]))
    return image if image.size == size else image.resize(size, _FILTERS[resampling])


def resized_to_cover(image: Image.Image, size: PixelSize, resampling: Resampling) -> Image.Image:
    """Returns an image resized until one side is that of `size` and the other is not smaller; it is rounded down.

    For squares, the shorter side becomes that of the square.
    """
    return resized(image, _covering(image, size), resampling)


def _covering(image: Image.Image, size: PixelSize) -> tuple[int, int]:
    """Width and height in pixels at which an image of the same proportions just covers a rectangle."""
    if _is_wider(image, size):
        return size.height * image.width // image.height, size.height
    return size.width, size.width * image.height // image.width


def _is_wider(image: Image.Image, size: PixelSize) -> bool:
    """Whether an image is at least as wide, in proportion to its height, as a rectangle."""
    return image.width * size.height >= image.height * size.width


def central_part(image: Image.Image, size: PixelSize) -> Image.Image:
    """Returns the largest central part that has the proportions of `size`; a side that is cut is rounded down."""
    width, height = image.size
    if _is_wider(image, size):
        width = max(height * size.width // size.height, 1)
    else:
        height = max(width * size.height // size.width, 1)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def central_pixels(image: Image.Image, size: PixelSize) -> Image.Image:
    """Returns the central `size` of an image that covers it."""
    left, top = (image.width - size.width) // 2, (image.height - size.height) // 2
    return image.crop((left, top, left + size.width, top + size.height))


def opened_image(contents: bytes, *, size: PixelSize, resize: Resize) -> ImageFile.ImageFile:
    opened = Image.open(BytesIO(contents), formats=FORMATS)
    _check_header(opened, size=size, resize=resize)
    return opened


def _pixels_of_plain(opened: ImageFile.ImageFile, contents: bytes, *, mode: str) -> Pixels | None:
    """The pixels of a file that another library decodes as Pillow does, in less time; None for all other files."""
    if opened.format == "PNG":
        return pixels_of_plain_png(opened, contents, mode=mode)
    return pixels_of_plain_jpeg(opened, contents, mode=mode)


def _decoded(opened: ImageFile.ImageFile, *, mode: str, size: PixelSize) -> Image.Image:
    # Large JPEG files need not be decoded at their full size. Twice the final size is decoded, so that the coarse
    # scaling inside the decoder is not the last filter.
    enough = (2 * size.width, 2 * size.height)
    turned = size.given_width is not None and shown_size(opened) != opened.size
    opened.draft("L" if mode == "L" else "RGB", enough[::-1] if turned else enough)
    ImageOps.exif_transpose(opened, in_place=True)
    return in_mode(opened, mode)


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "RGBA" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def in_size(image: Image.Image, resize: Resize, size: PixelSize, resampling: Resampling) -> Image.Image:
    if resize is Resize.shorter_side:
        return central_pixels(resized_to_cover(image, size, resampling), size)
    if resize is Resize.center_crop:
        image = central_part(image, size)
    return resized(image, (size.width, size.height), resampling)


def _reduced(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Returns box means over `factors` columns and rows."""
    # Band by band, because Pillow weights the colours of RGBA by alpha, and pooling in networks does not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])


def _pixels_of(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
