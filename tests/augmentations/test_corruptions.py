"""Gains of bands of frequencies, and rectangles of zeros."""

import pytest
import torch
from torch import tensor

from lightning_gan.augmentations.corruptions import band_filtered, cut_out, normalized_gains
from lightning_gan.augmentations.wavelets import filter_bank


def test_gains_keep_the_expected_power() -> None:
    found = normalized_gains(tensor([[2.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64))
    assert found[0].tolist() == pytest.approx([1.09968, 0.54984, 0.54984, 0.54984], abs=1e-5)
    assert found[1].tolist() == pytest.approx([1.0] * 4)


def test_gains_of_one_change_nothing_and_equal_gains_multiply_twice() -> None:
    images = torch.randn(2, 3, 5, 30, dtype=torch.float64)
    one = torch.ones(2, 4, dtype=torch.float64)
    torch.testing.assert_close(band_filtered(images, one, bank=filter_bank()), images)
    torch.testing.assert_close(band_filtered(images, 3 * one, bank=filter_bank()), 9 * images)  # once along each axis


def test_images_get_the_gains_of_their_own() -> None:
    images = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    gains = torch.rand(3, 4, dtype=torch.float64)
    alone = [band_filtered(images[i : i + 1], gains[i : i + 1], bank=filter_bank()) for i in range(3)]
    torch.testing.assert_close(band_filtered(images, gains, bank=filter_bank()), torch.cat(alone))


def test_only_the_gain_of_the_lowest_band_changes_a_constant() -> None:
    flat = torch.ones(1, 1, 6, 6, dtype=torch.float64)
    gains = tensor([[0.5, 3.0, 7.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(band_filtered(flat, gains, bank=filter_bank()), 0.25 * flat)


def test_the_cutout_is_half_of_each_side_and_cut_off_at_borders() -> None:
    images = torch.ones(4, 2, 8, 12)
    centres = tensor([[0.5, 0.5], [0.0, 0.5], [0.0, 0.0], [0.5, 0.5]])
    cut = cut_out(images, centres, size=0.5, chosen=tensor([True, True, True, False]))
    assert (cut == 0).flatten(1).sum(1).tolist() == [2 * 24, 2 * 12, 2 * 6, 0]
    assert cut[0, 0, 2:6, 3:9].sum() == 0
