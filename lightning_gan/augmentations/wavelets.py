"""The wavelet filters of adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676, appendix B).

Symlets are Daubechies' least asymmetric orthogonal wavelets (Daubechies 1992, Ten Lectures on Wavelets, table 6.3).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d, pad

SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
"""The low-pass filter of the symlet with six vanishing moments: its sum is sqrt(2), that of its squares is 1."""

SYM6_CENTRE = sum(place * tap for place, tap in enumerate(SYM6)) / sum(SYM6)
"""The centre of gravity of these taps, 5.098: they are not quite symmetric."""

BANDS = 4
"""Number of frequency bands of the filter bank, from the lowest to the highest octave."""


def sym6() -> Float[Tensor, " taps"]:
    """The low-pass filter of the symlet with six vanishing moments, in fp64, scaled to the sum 1 (12 taps)."""
    taps = torch.tensor(SYM6, dtype=torch.float64)
    return taps / taps.sum()


def filter_bank() -> Float[Tensor, "bands taps"]:
    """The filters that divide an image into four octaves of frequencies, in fp64: 4 bands of 43 taps.

    They are made of the symlet with two vanishing moments, whose low-pass and high-pass filters H and its mirror image
    give two half-band filters ``H(z) H(1/z) / 2`` that sum to 1. The bands therefore sum to an impulse, and only the
    lowest band passes a constant.

    Example:
        >>> bank = filter_bank()
        >>> bank.shape, bank.sum(1).round(decimals=9).abs().tolist()
        (torch.Size([4, 43]), [1.0, 0.0, 0.0, 0.0])
    """
    root = 3.0**0.5
    low = torch.tensor([1 - root, 3 - root, 3 + root, 1 + root], dtype=torch.float64) / (4 * 2.0**0.5)
    high = low * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    low_half, high_half = (_convolved(taps[None], taps.flip(0))[0] / 2 for taps in (low, high))
    bank = torch.eye(BANDS, 1, dtype=torch.float64)
    for band in range(1, BANDS):
        spread = torch.stack([bank, torch.zeros_like(bank)], dim=-1).flatten(1)[:, :-1]  # a zero between two taps
        bank = _convolved(spread, low_half)
        before = (bank.shape[1] - len(high_half)) // 2
        bank[band] += pad(high_half, (before, before))
    return bank


def _convolved(rows: Float[Tensor, "rows taps"], other: Float[Tensor, " others"]) -> Float[Tensor, "rows longer"]:
    return conv1d(rows[:, None], other.flip(0)[None, None], padding=len(other) - 1)[:, 0]
