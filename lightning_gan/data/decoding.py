"""Kinds of image files, and the colour mode, the cropping and the size of one image."""

from enum import Enum
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from lightning_gan.data.images import PixelSize
from lightning_gan.data.stored_values import is_array, shown_size, size_of_array, stored_tiff
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
        ValuesError: for another number of channels.
    """
    if image_channels not in _MODES:
        raise ValuesError(
            f"image_channels={image_channels} cannot be read from image files",
            "give 1 (grey), 3 (RGB) or 4 (RGBA); TIFF files of other channels need a value_range, such as [0, 255]",
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


def resized(image: Image.Image, size: tuple[int, int], resampling: Resampling) -> Image.Image:
    """Returns an image resized to a width and height in pixels."""
    divides = image.width % size[0] == 0 and image.height % size[1] == 0
    if divides and resampling is Resampling.box_or_lanczos:
        return reduced(image, (image.width // size[0], image.height // size[1]))
    return image if image.size == size else image.resize(size, _FILTERS[resampling])


def resized_to_cover(image: Image.Image, size: PixelSize, resampling: Resampling) -> Image.Image:
    """Returns an image resized until one side is that of `size` and the other is not smaller; it is rounded down.

    For squares, the shorter side becomes that of the square.
    """
    return resized(image, covering(image, size), resampling)


def covering(image: Image.Image, size: PixelSize) -> tuple[int, int]:
    """Returns the width and height in pixels at which an image of the same proportions just covers a rectangle."""
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


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Returns an image in a mode of Pillow's. Without alpha, transparent pixels are composited onto white."""
    if mode != "RGBA" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def reduced(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Returns box means over `factors` columns and rows."""
    # Band by band, because Pillow weights the colours of RGBA by alpha, and pooling in networks does not.
    return image if factors == (1, 1) else Image.merge(image.mode, [band.reduce(factors) for band in image.split()])
