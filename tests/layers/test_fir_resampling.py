"""Resampling with the filter [1, 3, 3, 1] x [1, 3, 3, 1] / 64."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_gan.layers.fir_resampling import FIRDownsampling, FIRUpsampling


def test_one_pixel_becomes_the_filter_with_gain_four() -> None:
    pixel = torch.zeros(1, 1, 3, 3)
    pixel[0, 0, 1, 1] = 1.0
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    expected = torch.zeros(6, 6)
    expected[1:5, 1:5] = torch.outer(taps, taps)
    torch.testing.assert_close(FIRUpsampling()(pixel)[0, 0], expected)


def test_upsampling_is_bilinear_away_from_the_border() -> None:
    features = torch.randn(2, 3, 5, 7)
    bilinear = interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(FIRUpsampling()(features)[:, :, 1:-1, 1:-1], bilinear[:, :, 1:-1, 1:-1])


def test_both_keep_a_constant_away_from_the_border() -> None:
    ones = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(FIRUpsampling()(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 14, 14))
    torch.testing.assert_close(FIRDownsampling()(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 2, 2))


def test_downsampling_is_a_quarter_of_the_transpose_of_upsampling() -> None:
    """``<up(x), y> = 4 <x, down(y)>`` for all x and y."""
    small, large = torch.randn(1, 2, 4, 4).double(), torch.randn(1, 2, 8, 8).double()
    up, down = FIRUpsampling().double(), FIRDownsampling().double()
    inner: Tensor = (up(small) * large).sum()
    torch.testing.assert_close(inner, 4 * (small * down(large)).sum())


def test_the_filter_is_no_part_of_the_state() -> None:
    assert FIRUpsampling().state_dict() == {}
