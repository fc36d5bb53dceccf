"""Files of original values: what is generated can be read again as data."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.value_range import ValueRange
from lightning_gan.inference.values_out import SIXTEEN_BITS, original_values, suffix_of, values_file

DEPTH = ValueRange(low=-20.0, high=80.0)


def test_pictures_are_what_8_bits_or_16_bits_of_grey_hold() -> None:
    assert [suffix_of(channels, None) for channels in (1, 2, 3, 4, 5)] == [".png", ".npy", ".png", ".png", ".npy"]
    assert [suffix_of(channels, SIXTEEN_BITS) for channels in (1, 3)] == [".png", ".npy"]
    assert suffix_of(1, DEPTH) == ".npy"


def test_minus_one_and_one_are_the_ends_of_the_range_and_more_is_clipped() -> None:
    image = torch.tensor([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)
    assert original_values(image, DEPTH).tolist() == [[-20, -20], [30, 80]]
    assert original_values(image, None).tolist() == [[0, 0], [128, 255]]
    grey = np.asarray(Image.open(BytesIO(values_file(image, SIXTEEN_BITS))))
    assert grey.dtype == np.uint16 and grey.tolist() == [[0, 0], [32768, 65535]]


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("value_range", [None, SIXTEEN_BITS, DEPTH], ids=str)
def test_what_is_written_is_read_again(channels: int, value_range: ValueRange | None, tmp_path: Path) -> None:
    image = torch.rand(1, channels, 8, 12, generator=torch.Generator().manual_seed(channels)) * 2 - 1
    (tmp_path / f"a{suffix_of(channels, value_range)}").write_bytes(values_file(image, value_range))
    files = ImageFiles(
        path=tmp_path,
        image_size=8,
        image_width=12,
        image_channels=channels,
        value_range=None if value_range is None else (value_range.low, value_range.high),
    )
    read = files.read(torch.tensor([0]), resolution=8)
    if value_range is None:
        assert read.dtype == torch.uint8
        read = read / 127.5 - 1
    step = 1 / 127 if value_range is None else 2 / 65535 if channels == 1 and value_range == SIXTEEN_BITS else 1e-6
    torch.testing.assert_close(read, image, rtol=0, atol=step)
