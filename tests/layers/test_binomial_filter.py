"""Resampling with [1, 3, 3, 1]: constants, impulses, bilinear interpolation inside, and transposes of each other."""

import pytest
import torch
from torch.nn.functional import interpolate

from lightning_gan.layers.binomial_filter import BinomialFilter, BinomialUpsampling


def test_an_impulse_becomes_the_filter() -> None:
    image = torch.zeros(1, 2, 7, 7)
    image[0, 1, 3, 3] = 64.0
    filtered = BinomialFilter(padding=0)(image)
    assert filtered[0, 1].tolist() == [[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]
    assert filtered[0, 0].count_nonzero() == 0


@pytest.mark.parametrize(("padding", "size"), [(0, 5), (1, 7), (2, 9)])
def test_padding_decides_the_size_and_constants_stay_inside(padding: int, size: int) -> None:
    filtered = BinomialFilter(padding=padding)(torch.ones(1, 1, 8, 8))
    assert filtered.shape == (1, 1, size, size)
    assert filtered[0, 0, 2:-2, 2:-2].eq(1).all()


def test_with_a_stride_every_second_pixel_is_taken() -> None:
    image = torch.randn(2, 3, 8, 6)
    halved = BinomialFilter(padding=1, stride=2)(image)
    assert halved.shape == (2, 3, 4, 3)
    torch.testing.assert_close(halved, BinomialFilter(padding=1)(image)[:, :, ::2, ::2])


def test_upsampling_is_bilinear_interpolation_away_from_the_border() -> None:
    image = torch.randn(2, 3, 5, 4)
    doubled = BinomialUpsampling()(image)
    assert doubled.shape == (2, 3, 10, 8)
    bilinear = interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(doubled[:, :, 1:-1, 1:-1], bilinear[:, :, 1:-1, 1:-1])
    assert not torch.allclose(doubled, bilinear)  # beyond the border are zeros


def test_upsampling_is_four_times_the_transpose_of_halving() -> None:
    small, large = torch.randn(1, 2, 4, 3), torch.randn(1, 2, 8, 6)
    up, down = (BinomialUpsampling()(small) * large).sum(), (small * BinomialFilter(padding=1, stride=2)(large)).sum()
    torch.testing.assert_close(up, 4 * down)


def test_the_filter_is_no_part_of_the_state() -> None:
    assert BinomialUpsampling().state_dict() == BinomialFilter(padding=1).state_dict() == {}
