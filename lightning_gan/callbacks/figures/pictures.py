"""Pictures of images: grids, tables with labels, and PNG files that are whole or not there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_gan.atomic_files import written_whole
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.tensors.shapes import ImageBytes

Grid: TypeAlias = UInt8[Tensor, "grid_height grid_width shown_channels"]
"""Pixels of a picture, as image files have them."""

TableRow: TypeAlias = UInt8[Tensor, "columns channels _ _"]
"""The images of a table's row, of any size."""

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
"""What text is written with: a font that comes with Pillow."""

SCREEN_WIDTH = 1024
"""Pictures are enlarged by a whole factor as long as they are no wider than this, so that small digits can be seen."""

FONT_SIZE, GAP, LINE = 16, 12, 2
"""Pixels: of letters, between the parts of a table and around labels, and between images; more in wider tables."""


def shown_channels(channels: int) -> int:
    """How many channels of an image a picture shows: of 2 the first, of more than 4 the first three.

    Example:
        >>> [shown_channels(channels) for channels in (1, 2, 3, 4, 5)]
        [1, 1, 3, 4, 3]
    """
    return 1 if channels == 2 else min(channels, 3) if channels != 4 else 4


def image_grid(images: ImageBytes, *, columns: int, factor: int = 1) -> Grid:
    """Images side by side, row by row, every pixel enlarged to `factor` x `factor`.

    Args:
        images: as many as fill whole rows. Of 2 channels the first is shown, of more than 4 the first three.
        columns: images per row.
        factor: enlargement.
    """
    images = nearest_upsample(images[:, : shown_channels(images.shape[1])], factor=factor)
    return rearrange(images, "(rows columns) c h w -> (rows h) (columns w) c", columns=columns)


def enlargement(height: int, width: int, *, final_height: int, columns: int) -> int:
    """The factor that brings small images to the size of the final ones, and those to the size of a screen.

    Example:
        >>> [enlargement(size, size, final_height=32, columns=10) for size in (4, 8, 16, 32)]
        [24, 12, 6, 3]
    """
    to_final = max(final_height // height, 1)
    return to_final * max(SCREEN_WIDTH // (columns * width * to_final), 1)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of images with labels, on white: the layout of the papers' figures.

    Args:
        rows: images of each row, `columns channels height width`, as many in every row. Rows may be of different
            sizes, each a whole fraction of the largest; all are enlarged to the same size.
        row_labels: a label to the left of each row, or none. The same label on neighbouring rows stands there once.
        column_labels: a label above each column, or none; likewise.
        gaps_above: rows that are set off from the row above.
        gaps_left: columns that are set off from the column to the left.
        corner: a text instead of the first image, for tables whose first row and column are sources of the rest.
    """

    rows: Sequence[TableRow]
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    gaps_above: Collection[int] = ()
    gaps_left: Collection[int] = ()
    corner: str | None = None

    def drawn(self) -> Grid:
        """The table as RGB pixels, as wide as a screen or wider."""
        columns = len(self.rows[0])
        height, width = (max(row.shape[axis] for row in self.rows) for axis in (-2, -1))
        factor = enlargement(height, width, final_height=height, columns=columns)
        height, width = height * factor, width * factor
        scale = max(columns * width / SCREEN_WIDTH, 1.0)
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
                cell = _pil_image(image_grid(image[None], columns=1, factor=height // image.shape[-2]))
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
    """Write a PNG file, so that nobody reads half of it; make the folder if need be."""
    image = _pil_image(pixels)
    with written_whole(path) as file:
        image.save(file, format="PNG")
    return image


def _pil_image(pixels: Grid) -> Image.Image:
    return Image.fromarray((pixels[..., 0] if pixels.shape[-1] == 1 else pixels).numpy())


def _spans(labels: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Each label with the neighbouring positions that it stands at.

    Example:
        >>> _spans(["coarse", "coarse", "fine"])
        [('coarse', [0, 1]), ('fine', [2])]
    """
    return [
        (label, [position for position, _ in group])
        for label, group in groupby(enumerate(labels), key=lambda pair: pair[1])
    ]


def _text_size(text: str, font: Font) -> tuple[int, int]:
    """Width and height in pixels."""
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font)
    return round(box[2]), round(box[3])


def _in_lines(text: str, font: Font, *, width: int) -> str:
    """Words in as few lines as fit into `width` pixels; a word that is too long has a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and _text_size(f"{lines[-1]} {word}", font)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
