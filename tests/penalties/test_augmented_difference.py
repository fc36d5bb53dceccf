"""Flips and shifts, pixel by pixel, and what critics lose when they see them."""

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.penalties.augmented_difference import (
    flip_and_shift,
    mean_squared_difference,
    randomly_flipped_and_shifted,
)


def row(*pixels: float) -> Tensor:
    return tensor(pixels, dtype=torch.float32).view(1, 1, 1, -1).expand(1, 2, 3, -1)


def moved(images: Tensor, *, flip: bool = False, down: int = 0, right: int = 0) -> Tensor:
    return flip_and_shift(images, flips=tensor([flip]), shifts=tensor([[down, right]]), largest_shift=2)


def test_a_shift_moves_pixels_to_the_right_and_reflects_the_border() -> None:
    assert torch.equal(moved(row(1, 2, 3, 4), right=1), row(2, 1, 2, 3))
    assert torch.equal(moved(row(1, 2, 3, 4), right=-2), row(3, 4, 3, 2))
    column = row(1, 2, 3).transpose(2, 3).contiguous()
    assert torch.equal(moved(column, down=1), row(2, 1, 2).transpose(2, 3))


def test_a_flip_mirrors_before_the_shift_and_twice_is_none() -> None:
    images = row(1, 2, 3, 4)
    assert torch.equal(moved(images, flip=True), row(4, 3, 2, 1))
    assert torch.equal(moved(moved(images, flip=True), flip=True), images)


def test_every_image_has_its_own_flip_and_shift() -> None:
    images = torch.arange(40.0).view(2, 1, 4, 5)
    together = flip_and_shift(images, flips=tensor([True, False]), shifts=tensor([[0, 1], [-1, 0]]), largest_shift=1)
    assert torch.equal(together[:1], moved(images[:1], flip=True, right=1))
    assert torch.equal(together[1:], moved(images[1:], down=-1))


def test_nothing_moves_without_flip_and_shift() -> None:
    images = torch.randn(1, 3, 4, 4)
    assert torch.equal(moved(images), images)


def test_random_transforms_are_a_function_of_the_generators_state_and_use_the_whole_range() -> None:
    images = torch.arange(9.0).view(1, 1, 1, 9).expand(400, 1, 9, 9).clone()
    torch.manual_seed(0)
    first = randomly_flipped_and_shifted(images, largest_shift=2)
    torch.manual_seed(0)
    assert torch.equal(first, randomly_flipped_and_shifted(images, largest_shift=2))
    middles = first[:, 0, 4, 4]
    assert sorted(set(middles.tolist())) == [2, 3, 4, 5, 6]
    flipped = (first[:, 0, 4, 5] < middles).float().mean().item()
    assert flipped == pytest.approx(0.5, abs=0.1)


def test_shifts_larger_than_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="largest_shift=4 pixels is too much for images of 4x8"):
        randomly_flipped_and_shifted(torch.zeros(1, 1, 4, 8), largest_shift=4)


def test_a_linear_critic_sees_a_translation_by_its_slope_along_it() -> None:
    """On an image with slope 1 to the right, moving by one pixel changes every inner pixel by -1."""
    images = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 6, 6)
    weight = torch.zeros(6, 6)
    weight[2, 2:4] = tensor([3.0, 4.0])
    scores = [(picture * weight).sum().view(1) for picture in (images, moved(images, right=1))]
    assert mean_squared_difference(*scores).item() == 49


@pytest.mark.parametrize("largest_shift", [0, 1])
def test_images_of_one_pixel_are_refused(largest_shift: int) -> None:
    """No flip or shift changes them, so that every difference would be 0."""
    with pytest.raises(ValueError, match=r"images of shape \(4, 16, 1, 1\) have one pixel, .*; give images as batch"):
        randomly_flipped_and_shifted(torch.zeros(4, 16, 1, 1), largest_shift=largest_shift)
    assert randomly_flipped_and_shifted(torch.zeros(4, 16, 1, 2), largest_shift=0).shape == (4, 16, 1, 2)
