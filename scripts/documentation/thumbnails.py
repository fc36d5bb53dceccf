"""Small versions of the pictures in docs/images, for tables of models."""

from pathlib import Path

from PIL import Image

SIDE = 128
"""Width and height of a thumbnail in pixels."""


def thumbnail_of(picture: Image.Image) -> Image.Image:
    """A square of a sheet of samples, small: four by four digits of a grey sheet, three by three of a labelled figure.

    Args:
        picture: a sheet of samples from edge to edge (grey), or a figure of reconstructions with labels at its left
            (colour), whose upper left three by three images are a real one, its reconstruction and a sample.
    """
    left, side = (0, min(picture.size) // 2) if picture.mode == "L" else (132, 292)
    square = picture.crop((left, 0, left + side, side)).convert("L")
    return square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def make_thumbnail(path: Path) -> None:
    """Write the thumbnail of a picture into the folder `thumbnails` beside it."""
    target = path.parent / "thumbnails" / path.name
    target.parent.mkdir(exist_ok=True)
    thumbnail_of(Image.open(path)).save(target, optimize=True)
