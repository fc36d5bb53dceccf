"""Matrices of colours, by their closed forms."""

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.augmentations.colours import (
    brightness,
    contrast,
    hue_rotation,
    luma_flip,
    recoloured,
    saturation,
)

AXIS = torch.full((3,), 3**-0.5, dtype=torch.float64)


def one(value: float) -> Tensor:
    return tensor([value], dtype=torch.float64)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_brightness_adds_and_contrast_multiplies() -> None:
    images = torch.randn(1, 3, 2, 5, dtype=torch.float64)
    close(recoloured(images, brightness(one(0.3))), images + 0.3)
    close(recoloured(images, contrast(one(1.7))), images * 1.7)


def test_the_luma_flip_is_a_householder_reflection_that_makes_white_black() -> None:
    close(luma_flip(one(1.0))[0, :3, :3], torch.eye(3, dtype=torch.float64) - 2 * torch.outer(AXIS, AXIS))
    close(
        recoloured(torch.ones(1, 3, 1, 1, dtype=torch.float64), luma_flip(one(1.0))), -torch.ones(1, 3, 1, 1).double()
    )
    assert torch.equal(luma_flip(one(0.0))[0], torch.eye(4, dtype=torch.float64))


def test_a_hue_rotation_keeps_luma_and_permutes_channels_by_a_third_of_a_turn() -> None:
    images = torch.randn(1, 3, 2, 5, dtype=torch.float64)
    close(recoloured(images, hue_rotation(one(1.2))).mean(1), images.mean(1))
    close(recoloured(images, hue_rotation(one(2 * torch.pi / 3))), images[:, [2, 0, 1]])
    twice = hue_rotation(one(0.5)) @ hue_rotation(one(0.7))
    close(twice, hue_rotation(one(1.2)))


def test_no_saturation_is_grey_and_grey_has_none() -> None:
    images = torch.randn(1, 3, 2, 5, dtype=torch.float64)
    close(recoloured(images, saturation(one(0.0))), images.mean(1, keepdim=True).expand_as(images))
    grey = images[:, :1].expand_as(images)
    close(recoloured(grey, saturation(one(5.0))), grey)


def test_one_channel_gets_the_mean_row_so_that_hue_and_saturation_do_nothing() -> None:
    images = torch.randn(1, 1, 2, 5, dtype=torch.float64)
    close(recoloured(images, saturation(one(3.0)) @ hue_rotation(one(1.0))), images)
    close(recoloured(images, luma_flip(one(1.0))), -images)
    close(recoloured(images, contrast(one(2.0)) @ brightness(one(0.1))), 2 * (images + 0.1))


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="for images of 1 or 3 channels, not of 4; leave colours out: groups=Augm"):
        recoloured(torch.ones(1, 4, 2, 2, dtype=torch.float64), brightness(one(0.1)))
