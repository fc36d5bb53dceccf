"""Stacked digits: each channel is a digit, the mode is their number, and all 1,000 modes occur."""

import pytest
import torch

from lightning_gan.data import StackedDigits
from lightning_gan.data.digits import Digits, load_digits
from lightning_gan.data.stacked_digits import StackedImages


def test_channels_are_digits_and_the_mode_is_their_number() -> None:
    source = StackedDigits(image_size=28, count=50).source
    assert isinstance(source, StackedImages)
    images = source.read(torch.tensor([7, 3]), resolution=28)
    digits, labels = load_digits()
    for image, number in zip(images, (7, 3), strict=True):
        triple = source.triples[number]
        assert torch.equal(image, digits[triple, 0])
        assert source.labels[number] == int("".join(str(int(labels[digit])) for digit in triple))


@pytest.mark.parametrize("resolution", [32, 16, 4])
def test_smaller_sizes_are_those_of_the_digits(resolution: int) -> None:
    source, grey = StackedDigits(count=20).source, Digits().source
    assert isinstance(source, StackedImages)
    images = source.read(torch.arange(20), resolution=resolution)
    assert images.shape == (20, 3, resolution, resolution)
    assert torch.equal(images[:, 1], grey.read(source.triples[:, 1], resolution=resolution)[:, 0])


def test_all_modes_occur_about_equally_often() -> None:
    counts = StackedDigits().source.labels.bincount(minlength=1000)  # type: ignore[union-attr]
    assert len(counts) == 1000 and counts.sum() == 128_000
    assert counts.min() > 64 and counts.max() < 192


def test_the_seed_chooses_the_triples() -> None:
    first, again, other = (StackedDigits(count=30, seed=seed).source for seed in (0, 0, 1))
    numbers = torch.arange(30)
    assert torch.equal(first.read(numbers, resolution=32), again.read(numbers, resolution=32))
    assert first.origin.fingerprints == again.origin.fingerprints != other.origin.fingerprints
    assert not torch.equal(first.read(numbers, resolution=32), other.read(numbers, resolution=32))


def test_the_networks_get_the_modes_only_if_asked() -> None:
    assert StackedDigits(count=5).number_of_classes == 0
    assert StackedDigits(count=5, labels=True).number_of_classes == 1000
    assert StackedDigits(count=5).image_channels == 3
    with pytest.raises(ValueError, match="StackedDigits: count=0 must be at least 1"):
        StackedDigits(count=0)
    with pytest.raises(ValueError, match="image_size=30"):
        StackedDigits(image_size=30)
