"""The size of images in files if no size is given: that of the first one."""

from lightning_gan.data.decoding import size_of
from lightning_gan.data.image_files import ImageFiles, unreadable
from lightning_gan.data.images import PixelSize
from lightning_gan.data.shown import shown


def size_of_first(files: ImageFiles, *, option: str, squares: bool = False) -> PixelSize:
    """Returns the height and width in pixels of the first image.

    Args:
        files: images in files.
        option: option of the command line that gave them, for the error message.
        squares: whether only squares are possible.

    Raises:
        ValueError: if the first file cannot be read, or must be a square and is none.
    """
    name = files.names[0]
    try:
        width, height = size_of(files.contents(name))
    except (OSError, ValueError) as error:
        raise ValueError(f"{option}: {unreadable(name, error)}; replace or remove the file") from error
    if squares and width != height:
        raise ValueError(
            f"{option}: {shown(name)} has {width}x{height} pixels and is no square; give --image_size, to which the "
            "central square of each image is resized"
        )
    return PixelSize(height=height, width=width)
