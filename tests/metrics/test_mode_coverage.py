"""Modes and their divergence: by hand, against torch's own divergence, and of the real stacked digits."""

import math

import pytest
import torch

from lightning_gan.data import StackedDigits
from lightning_gan.metrics import DigitFeatures, mode_coverage
from lightning_gan.metrics.mode_coverage import digit_modes


def test_equal_shares_and_a_single_mode() -> None:
    assert mode_coverage(torch.arange(1000), number_of_modes=1000) == (1000, pytest.approx(0, abs=1e-12))
    assert mode_coverage(torch.full((50,), 7), number_of_modes=1000) == (1, pytest.approx(math.log(1000)))


def test_the_divergence_is_that_of_torch() -> None:
    modes = torch.randint(40, (300,), generator=torch.Generator().manual_seed(0))
    shares = modes.bincount(minlength=50).double() / 300
    expected = torch.nn.functional.kl_div(torch.full((50,), 1 / 50, dtype=torch.float64).log(), shares, reduction="sum")
    found = mode_coverage(modes, number_of_modes=50)
    assert found.reverse_kl == pytest.approx(expected.item(), rel=1e-12)
    assert found.modes == (shares > 0).sum()
    assert mode_coverage(modes[torch.randperm(300)], number_of_modes=50) == found


def test_even_perfect_samples_have_a_divergence() -> None:
    modes = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    assert mode_coverage(modes, number_of_modes=1000) == (1000, pytest.approx(999 / 52_000, rel=0.1))


def test_the_classifier_tells_the_modes_of_real_images() -> None:
    source = StackedDigits(count=400).source
    modes = digit_modes(source.read(torch.arange(400), resolution=32), DigitFeatures())
    assert (modes == source.labels).double().mean() > 0.97
    grey = source.read(torch.arange(50), resolution=32)[:, :1]
    assert torch.equal(digit_modes(grey, DigitFeatures()), modes[:50] // 100)
