"""The filters of ADA, against what defines them."""

import pytest
import torch

from lightning_gan.augmentations.wavelets import SYM6, SYM6_CENTRE, filter_bank, sym6

TAPS = torch.tensor(SYM6, dtype=torch.float64)


def test_sym6_is_an_orthogonal_wavelet_with_six_vanishing_moments() -> None:
    assert TAPS.sum().item() == pytest.approx(2**0.5, abs=1e-11)
    for shift in range(6):
        product = (TAPS[2 * shift :] * TAPS[: 12 - 2 * shift]).sum().item()
        assert product == pytest.approx(float(shift == 0), abs=1e-11)
    place = torch.arange(12, dtype=torch.float64)
    moments = [((-1) ** place * TAPS * (place - 5.5) ** power).sum().abs().item() for power in range(7)]
    assert max(moments[:6]) < 1e-9 < moments[6]


def test_sym6_is_scaled_to_the_sum_of_one_and_has_its_centre_below_the_middle() -> None:
    assert sym6().sum().item() == pytest.approx(1.0)
    assert (sym6() * torch.arange(12)).sum().item() == pytest.approx(SYM6_CENTRE)
    assert pytest.approx(5.09826, abs=1e-5) == SYM6_CENTRE


def test_the_four_bands_sum_to_an_impulse_and_only_the_lowest_passes_a_constant() -> None:
    bank = filter_bank()
    impulse = torch.zeros(43, dtype=torch.float64)
    impulse[21] = 1
    assert bank.shape == (4, 43)
    torch.testing.assert_close(bank.sum(0), impulse, rtol=0, atol=1e-14)
    torch.testing.assert_close(bank.sum(1), torch.tensor([1.0, 0, 0, 0], dtype=torch.float64), rtol=0, atol=1e-14)


def test_each_band_passes_most_of_the_frequencies_of_its_octave() -> None:
    """At the middle of its octave, a band's response is the largest one."""
    place = torch.arange(43, dtype=torch.float64) - 21
    for band, frequency in enumerate((0.03, 0.09, 0.18, 0.4)):  # cycles per pixel; octaves end at 1/16, 1/8, 1/4, 1/2
        responses = (filter_bank() * torch.cos(2 * torch.pi * frequency * place)).sum(1)
        assert responses.argmax().item() == band
