"""Pictures that are composed of images: grids, tables with labels, and their PNG files."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_gan.atomic_files import written_whole
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.tensors.shapes import ImageBytes

Grid: TypeAlias = UInt8[Tensor, "grid_height grid_width shown_channels"]
"""Pixels of a picture, 0 to 255, in the layout of image files: channels last."""

TableRow: TypeAlias = UInt8[Tensor, "columns channels _ _"]
"""The images of one row of a table, of any height and width."""

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
"""A font that Pillow contains, for the labels."""

SCREEN_WIDTH = 1024
"""Largest width, in pixels, that small pictures are enlarged to, by a whole factor."""

FONT_SIZE, GAP, LINE = 16, 12, 2
"""Font size, space between the parts of a table and around labels, and space between images, in pixels.

Tables that are wider than `SCREEN_WIDTH` have larger ones, in proportion to their width.
"""


def shown_channels(channels: int) -> int:
    """Returns how many channels of an image a picture shows: the first of 2, and the first three of more than 4.

    Example:
        >>> [shown_channels(channels) for channels in (1, 2, 3, 4, 5)]
        [1, 1, 3, 4, 3]
    """
    return 1 if channels == 2 else min(channels, 3) if channels != 4 else 4


def image_grid(images: ImageBytes, *, columns: int, factor: int = 1) -> Grid:
    """Places images row by row with white gaps between them, and enlarges every pixel to `factor` x `factor` pixels.

    The gaps are those of `Table`: `LINE` pixels, and more in pictures that are wider than `SCREEN_WIDTH`.

    Args:
        images: uint8 images, `batch channels height width`; their number is a multiple of `columns`. The first of 2
            channels is shown, and the first three of more than 4.
        columns: number of images per row.
        factor: factor by which height and width are enlarged, a whole number.
    """
    images = nearest_upsample(images[:, : shown_channels(images.shape[1])], factor=factor)
    gap = round(LINE * _scale(columns * images.shape[-1]))
    framed = F.pad(images, (0, gap, 0, gap), value=255)
    grid = rearrange(framed, "(rows columns) c h w -> (rows h) (columns w) c", columns=columns)
    return grid[: grid.shape[0] - gap, : grid.shape[1] - gap]


def enlargement(height: int, width: int, *, final_height: int, columns: int) -> int:
    """Returns the whole factor that images of a grid are enlarged by.

    Images are enlarged to the final height, and further while the grid is no wider than `SCREEN_WIDTH`.

    Args:
        height: height of an image in pixels.
        width: width of an image in pixels.
        final_height: height in pixels of the images at the end of training; it differs while networks grow.
        columns: number of images per row.

    Example:
        >>> [enlargement(size, size, final_height=32, columns=10) for size in (4, 8, 16, 32)]
        [24, 12, 6, 3]
    """
    to_final = max(final_height // height, 1)
    return to_final * max(SCREEN_WIDTH // (columns * width * to_final), 1)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of images with labels on a white background, the layout of the papers' figures.

    Args:
        rows: images of each row, `columns channels height width`; all rows have the same number of images. Rows may
            have different image sizes if each divides the largest; all are enlarged to the same size.
        row_labels: labels to the left of the rows, one per row; empty for none. A label that is repeated on
            neighbouring rows is written once.
        column_labels: labels above the columns, one per column; empty for none. A label that is repeated on
            neighbouring columns is written once.
        gaps_above: indices of the rows that have a wider space above them.
        gaps_left: indices of the columns that have a wider space to their left.
        corner: text that replaces the first image, for tables whose first row and column are sources of the others;
            None shows the image.
    """

    rows: Sequence[TableRow]
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    gaps_above: Collection[int] = ()
    gaps_left: Collection[int] = ()
    corner: str | None = None

    def drawn(self) -> Grid:
        """Returns the table as uint8 RGB pixels; small images are enlarged by a whole factor."""
        columns = len(self.rows[0])
        height, width = (max(row.shape[axis] for row in self.rows) for axis in (-2, -1))
        factor = enlargement(height, width, final_height=height, columns=columns)
        height, width = height * factor, width * factor
        scale = _scale(columns * width)
        font, gap, line = ImageFont.load_default(round(FONT_SIZE * scale)), round(GAP * scale), round(LINE * scale)
        rows_of_label, columns_of_label = _spans(self.row_labels), _spans(self.column_labels)
        above = [_in_lines(label, font, width=width * len(span)) for label, span in columns_of_label]
        left = max((_text_size(label, font)[0] + 2 * gap for label in self.row_labels), default=0)
        top = max((_text_size(label, font)[1] + gap for label in above), default=0)
        xs = [
            left + column * (width + line) + gap * sum(g <= column for g in self.gaps_left) for column in range(columns)
        ]
        ys = [
            top + row * (height + line) + gap * sum(g <= row for g in self.gaps_above) for row in range(len(self.rows))
        ]
        canvas = Image.new("RGB", (xs[-1] + width, ys[-1] + height), "white")
        for y, images in zip(ys, self.rows, strict=True):
            for x, image in zip(xs, images, strict=True):
                cell = picture_of(image_grid(image[None], columns=1, factor=height // image.shape[-2]))
                canvas.paste(cell, (x, y), mask=cell if cell.mode == "RGBA" else None)
        draw = ImageDraw.Draw(canvas)
        for label, span in rows_of_label:
            y = (ys[span[0]] + ys[span[-1]] + height) // 2
            draw.multiline_text((left - gap, y), label, "black", font, anchor="rm", align="right")
        for label, (_, span) in zip(above, columns_of_label, strict=True):
            x = (xs[span[0]] + xs[span[-1]] + width) // 2
            draw.multiline_text((x, top - gap // 2), label, "black", font, anchor="md", align="center")
        if self.corner is not None:
            draw.rectangle((xs[0], ys[0], xs[0] + width - 1, ys[0] + height - 1), "white")
            draw.multiline_text((xs[0] + width // 2, ys[0] + height), self.corner, "black", font, anchor="md")
        return torch.from_numpy(np.array(canvas))


def write_png(path: Path, pixels: Grid) -> Image.Image:
    """Writes pixels to a PNG file and returns the image; readers never find a half-written file.

    Args:
        path: file to write; its folder is created if needed.
        pixels: uint8 pixels, `grid_height grid_width shown_channels`.
    """
    image = picture_of(pixels)
    with written_whole(path) as file:
        image.save(file, format="PNG")
    return image


def _scale(width: int) -> float:
    """The factor of fonts and gaps in a picture whose images together are `width` pixels wide."""
    return max(width / SCREEN_WIDTH, 1.0)


def picture_of(pixels: Grid) -> Image.Image:
    """Returns the Pillow image of uint8 pixels, `grid_height grid_width shown_channels`."""
    return Image.fromarray((pixels[..., 0] if pixels.shape[-1] == 1 else pixels).numpy())


def _spans(labels: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Each label with the neighbouring positions that have it.

    Example:
        >>> _spans(["coarse", "coarse", "fine"])
        [('coarse', [0, 1]), ('fine', [2])]
    """
    return [
        (label, [position for position, _ in group])
        for label, group in groupby(enumerate(labels), key=lambda pair: pair[1])
    ]


def _text_size(text: str, font: Font) -> tuple[int, int]:
    """Width and height of a text in pixels."""
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font)
    return round(box[2]), round(box[3])


def _in_lines(text: str, font: Font, *, width: int) -> str:
    """Breaks a text into as few lines as fit into `width` pixels; a word that is too long has a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and _text_size(f"{lines[-1]} {word}", font)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
