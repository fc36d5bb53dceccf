"""Power-function averages: widths, decays and inner products of profiles, by hand and by numerical integrals."""

import math

import pytest
import torch

from lightning_gan.schedules.power_function import (
    LARGEST_WIDTH,
    exponent_of,
    power_function_decay,
    profile_products,
    reconstruction_weights,
    relative_width_of,
)


def test_the_papers_widths_have_the_papers_exponents() -> None:
    """Section 3.1 of arXiv:2312.02696: 0.05 and 0.10 are exponents of 16.97 and 6.94."""
    assert exponent_of(0.05) == pytest.approx(16.97, abs=0.005)
    assert exponent_of(0.10) == pytest.approx(6.94, abs=0.005)
    for width in (0.001, 0.05, 0.2, 0.28):
        assert relative_width_of(exponent_of(width)) == pytest.approx(width)
    assert relative_width_of(0.0) == pytest.approx(LARGEST_WIDTH)


@pytest.mark.parametrize("exponent", [0.5, 3.0, 16.97])
def test_the_width_is_the_standard_deviation_of_the_profile(exponent: float) -> None:
    times = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    density = (exponent + 1) * times**exponent / 100_000
    mean = (times * density).sum()
    assert relative_width_of(exponent) == pytest.approx(float(((times - mean) ** 2 * density).sum().sqrt()), rel=1e-6)


@pytest.mark.parametrize("width", [0.0, -0.1, 0.29, math.nan])
def test_widths_that_no_profile_has_are_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"relative_width=.* must be above 0 and below 0.289"):
        exponent_of(width)


def test_decays_give_every_batch_its_share_whatever_the_batch_sizes() -> None:
    """After images 0 to t, a batch from a to b has the weight ``(b^(g+1) - a^(g+1)) / t^(g+1)``."""
    sizes, exponent = [4, 4, 8, 2, 14], 3.0
    shares, seen = [], 0
    for size in sizes:
        decay = power_function_decay(seen, batch_images=size, exponent=exponent)
        shares = [share * decay for share in shares] + [1 - decay]
        seen += size
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    expected = [(end**4 - (end - size) ** 4) / 32**4 for size, end in zip(sizes, ends, strict=True)]
    assert shares == pytest.approx(expected)
    assert power_function_decay(0, batch_images=4, exponent=exponent) == 0


def test_products_are_integrals() -> None:
    times = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000 * 4

    def profile(exponent: float, end: float) -> torch.Tensor:
        return (times < end) * (exponent + 1) * (times / end) ** exponent / end

    profiles = [(6.94, 4.0), (2.0, 3.0), (16.97, 2.0)]
    products = profile_products(profiles, profiles[:2])
    for row, own in enumerate(profiles):
        for column, other in enumerate(profiles[:2]):
            integral = float((profile(*own) * profile(*other)).mean() * 4)
            assert products[row, column].item() == pytest.approx(integral, rel=1e-3)
    assert profile_products([(1.0, 2.0)], [(3.0, 2.0)]).item() == pytest.approx(2 * 4 / 5 / 2)  # by hand


def test_a_saved_average_is_its_own_reconstruction() -> None:
    saved = [(exponent, time) for time in (1000.0, 2000.0, 3000.0) for exponent in (6.94, 16.97)]
    assert reconstruction_weights(saved, saved[4]) == pytest.approx([0, 0, 0, 0, 1, 0], abs=1e-8)
