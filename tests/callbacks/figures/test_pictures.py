"""Tables of images with labels, and picture files. (Grids are tested with the callback that draws them.)"""

from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_gan.callbacks.figures.pictures import GAP, LINE, SCREEN_WIDTH, Table, write_png

CELL = SCREEN_WIDTH // 2
"""Two columns fill a screen."""


def row(*greys: int, size: int = 4, channels: int = 1) -> Tensor:
    """Images that are one grey each."""
    return torch.tensor(greys, dtype=torch.uint8)[:, None, None, None].repeat(1, channels, size, size)


def test_a_table_shows_its_images_in_rows_with_lines_between_them() -> None:
    pixels = Table(rows=[row(10, 20), row(30, 40)]).drawn()
    assert pixels.shape == (2 * CELL + LINE, 2 * CELL + LINE, 3)
    assert pixels[:CELL, :CELL].unique().tolist() == [10]
    assert pixels[:CELL, CELL + LINE :].unique().tolist() == [20]
    assert pixels[CELL + LINE :, :CELL].unique().tolist() == [30]
    assert pixels[CELL : CELL + LINE].unique().tolist() == [255]


def test_rows_of_small_images_are_enlarged_to_the_size_of_the_large_ones() -> None:
    pixels = Table(rows=[row(10, 20, size=4), row(30, 40, size=16)]).drawn()
    assert pixels.shape == (2 * CELL + LINE, 2 * CELL + LINE, 3)
    assert pixels[:CELL, :CELL].unique().tolist() == [10]
    assert pixels[CELL + LINE :, :CELL].unique().tolist() == [30]


def test_gaps_set_rows_and_columns_off() -> None:
    pixels = Table(rows=[row(10, 20), row(30, 40), row(50, 60)], gaps_above=[1], gaps_left=[1]).drawn()
    assert pixels.shape == (3 * CELL + 2 * LINE + GAP, 2 * CELL + LINE + GAP, 3)
    assert pixels[CELL : CELL + LINE + GAP].unique().tolist() == [255]
    assert pixels[-CELL:, -CELL:].unique().tolist() == [60]


def test_labels_take_room_of_their_own_and_leave_images_whole() -> None:
    plain = Table(rows=[row(10, 20), row(30, 40)]).drawn()
    labelled = Table(rows=[row(10, 20), row(30, 40)], row_labels=["one", "two"], column_labels=["a", "b"]).drawn()
    height, width = plain.shape[:2]
    assert torch.equal(labelled[-height:, -width:], plain)
    left, top = labelled[-height:, :-width], labelled[:-height]
    assert left.min() == 0 and top.min() == 0  # black letters
    assert left[:, 0].min() == 255  # and a margin


def test_a_label_of_neighbours_stands_once_in_their_middle() -> None:
    images = [row(255), row(255), row(255)]
    thrice = Table(rows=images, row_labels=["same", "same", "same"]).drawn()
    middle = Table(rows=images, row_labels=["", "same", ""]).drawn()
    assert torch.equal(thrice, middle)
    assert (Table(rows=images, row_labels=["same", "same", "other"]).drawn() != thrice).any()


def test_a_long_label_is_broken_into_lines() -> None:
    columns = 16
    short, long = (
        Table(rows=[row(*range(columns))], column_labels=[label] * 8 + ["x"] * 8).drawn()
        for label in ("words", "words " * 40)
    )
    assert long.shape[0] > short.shape[0] and long.shape[1] == short.shape[1]


def test_letters_grow_with_a_table_that_is_wider_than_a_screen() -> None:
    narrow, wide = (Table(rows=[row(0, 0, size=size)], column_labels=["a", "b"]).drawn() for size in (CELL, 2 * CELL))
    assert wide.shape[0] - 2 * CELL == pytest.approx(2 * (narrow.shape[0] - CELL), abs=3)


def test_the_corner_of_a_table_of_sources_has_a_text_instead_of_an_image() -> None:
    pixels = Table(rows=[row(10, 20), row(30, 40)], corner="sources").drawn()
    assert 10 not in pixels[: CELL - 40, :CELL] and pixels[:CELL, :CELL].min() == 0
    assert pixels[CELL + LINE :, :CELL].unique().tolist() == [30]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_tables_show_any_number_of_channels(channels: int) -> None:
    pixels = Table(rows=[row(0, 255, channels=channels)]).drawn()
    opaque = channels != 4  # where alpha is 0, the white paper shows
    assert pixels[:, :CELL].unique().tolist() == [0 if opaque else 255]
    assert pixels[:, -CELL:].unique().tolist() == [255]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "picture.png"
    pixels = torch.randint(256, (4, 6, 3), dtype=torch.uint8)
    write_png(path, pixels)
    assert np.array_equal(np.asarray(Image.open(path)), pixels.numpy())

    def fail_halfway(image: Image.Image, target: IO[bytes], format: str) -> None:
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail_halfway)
    with pytest.raises(OSError, match="disk full"):
        write_png(path, pixels)
    monkeypatch.undo()
    assert np.array_equal(np.asarray(Image.open(path)), pixels.numpy())
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
