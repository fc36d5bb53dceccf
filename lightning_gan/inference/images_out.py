"""Files that pictures are written to: PNG, and nothing is overwritten by mistake."""

from io import BytesIO
from pathlib import Path

from lightning_gan.atomic_files import why_not_writable, written_whole
from lightning_gan.callbacks.figures.pictures import Grid, enlargement, picture_of

LARGEST_PIXELS = 400_000_000
"""Largest number of pixels of one picture, which then takes about a gigabyte of memory."""


def png_bytes(pixels: Grid) -> bytes:
    """The contents of a PNG file.

    Args:
        pixels: uint8 pixels, `grid_height grid_width shown_channels`.
    """
    contents = BytesIO()
    picture_of(pixels).save(contents, format="PNG")
    return contents.getvalue()


def write_new(path: Path, contents: bytes, *, overwrite: bool) -> None:
    """Write a file, completely or not at all. A file with the same bytes is left as it is.

    Args:
        path: path of the file. Missing folders are created.
        contents: its bytes.
        overwrite: whether a file with other bytes is replaced.

    Raises:
        ValueError: if there is a file with other bytes, and `overwrite` is not set.
    """
    if path.is_file() and path.read_bytes() == contents:
        return
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists with other contents; give another place, or --overwrite to replace it")
    with written_whole(path) as file:
        file.write(contents)


def check_absent(*paths: Path, overwrite: bool) -> None:
    """Check before long work that no file is at these paths, and that their folders can be written to.

    Args:
        paths: paths of the files.
        overwrite: whether files are replaced.

    Raises:
        ValueError: if there is a file and `overwrite` is not set, or a folder cannot be written to.
    """
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path} is a folder; give the path of a file")
        if path.exists() and not overwrite:
            raise ValueError(f"{path} exists; give another place, or --overwrite to replace it")
    for folder in {path.parent for path in paths}:
        check_writable(folder)


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, which is created.

    Raises:
        ValueError: if they cannot be.
    """
    if cause := why_not_writable(folder):
        raise ValueError(f"{folder} cannot be written to ({cause}); give another place")


def check_size(*, rows: int, columns: int, height: int, width: int) -> None:
    """Check that the picture of a `Table` of images fits into memory. Tables enlarge small images.

    Args:
        rows: number of rows of images.
        columns: number of images per row.
        height: height of an image in pixels.
        width: width of an image in pixels.

    Raises:
        ValueError: if it has more than `LARGEST_PIXELS`.
    """
    factor = enlargement(height, width, final_height=height, columns=columns)
    pixels = rows * height * columns * width * factor**2
    if pixels > LARGEST_PIXELS:
        raise ValueError(
            f"a picture with {rows} rows of {columns} images has {pixels / 1e6:,.0f} million pixels; give fewer images "
            f"or more columns, for at most {LARGEST_PIXELS / 1e6:,.0f} million"
        )
