"""DiffAugment's operations, by hand and by their distributions."""

import pytest
import torch
from torch import Tensor, tensor
from torch.nn.functional import pad

from lightning_gan.augmentations import (
    brightened,
    contrasted,
    differentiably_augmented,
    saturated,
    shifted,
    with_cutout,
)

ONLY = {"colour": False, "shift": False, "cutout": False}


def test_brightness_keeps_differences() -> None:
    images = torch.randn(2, 3, 4, 5)
    bright = brightened(images, tensor([0.25, -0.5]))
    torch.testing.assert_close(bright[1] - bright[1].mean(), images[1] - images[1].mean())
    torch.testing.assert_close(bright[0], images[0] + 0.25)


def test_saturation_keeps_grey_images_and_the_mean_of_the_channels() -> None:
    images = torch.randn(2, 3, 4, 5)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(saturated(grey, tensor([0.0, 1.7])), grey)
    torch.testing.assert_close(saturated(images, tensor([0.0, 1.7])).mean(1), images.mean(1))
    assert saturated(images, tensor([0.0, 1.7]))[0].var(0).max() < 1e-12


def test_contrast_keeps_the_mean_of_an_image() -> None:
    images = torch.randn(2, 3, 4, 5)
    changed = contrasted(images, tensor([0.5, 1.5]))
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)))
    torch.testing.assert_close(changed.std((1, 2, 3)), tensor([0.5, 1.5]) * images.std((1, 2, 3)))


def test_shifts_bring_in_zeros() -> None:
    images = torch.randn(2, 3, 4, 5)
    moved = shifted(images, tensor([[1, -2], [0, 0]]))
    assert torch.equal(moved[0], pad(images[0], (0, 2, 1, 0))[:, :4, 2:])
    assert torch.equal(moved[1], images[1])


def test_the_cutout_is_cut_off_at_borders() -> None:
    cut = with_cutout(torch.ones(3, 1, 8, 8), tensor([[4, 4], [0, 4], [8, 8]]), height=4, width=4)
    assert (cut == 0).flatten(1).sum(1).tolist() == [16, 8, 4]
    assert cut[0, 0, 2:6, 2:6].sum() == 0


@pytest.mark.parametrize("size", [8, 12])
def test_draws_have_the_distributions_of_the_paper(size: int) -> None:
    torch.manual_seed(0)
    count = 10_000
    flat = torch.full((count, 3, 2, 2), 0.5)
    offsets = differentiably_augmented(flat, **{**ONLY, "colour": True})[:, 0, 0, 0] - 0.5
    assert (offsets.min().item(), offsets.max().item()) == pytest.approx((-0.5, 0.5), abs=0.01)
    assert offsets.std().item() == pytest.approx(12**-0.5, rel=0.03)
    positions = torch.zeros(count, 1, size, size)
    positions[:, :, size // 2, size // 2] = 1
    places = differentiably_augmented(positions, **{**ONLY, "shift": True}).flatten(1).argmax(1)
    rows = places // size - size // 2
    largest = int(size / 8 + 0.5)
    assert rows.unique().tolist() == [*range(-largest, largest + 1)]
    assert torch.bincount(rows + largest).double().std().item() < 0.03 * count
    cut = differentiably_augmented(torch.ones(count, 1, size, size), **{**ONLY, "cutout": True})
    lost = 1 - cut.flatten(1).mean(1)
    assert lost.max().item() == pytest.approx(0.25)
    assert (lost > 0).all()
    # The pixels of a side that are cut off, for each of the size + 1 centres.
    inside = [min(centre + size // 4, size) - max(centre - size // 4, 0) for centre in range(size + 1)]
    assert lost.mean().item() == pytest.approx((sum(inside) / len(inside) / size) ** 2, rel=0.03)


def test_it_can_be_differentiated_twice_and_other_channels_than_three_are_fine() -> None:
    images = torch.randn(2, 4, 4, 3, dtype=torch.float64, requires_grad=True)

    def seeded(own: Tensor) -> Tensor:
        torch.manual_seed(1)
        return differentiably_augmented(own)

    assert torch.autograd.gradcheck(seeded, (images,))
    assert torch.autograd.gradgradcheck(lambda own: seeded(own).square(), (images,))


def test_no_operation_changes_nothing() -> None:
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(differentiably_augmented(images, **ONLY), images)
