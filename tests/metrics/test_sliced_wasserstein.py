"""The sliced Wasserstein distance: its pyramid, its patches, and numbers known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from lightning_gan.metrics.sliced_wasserstein import (
    descriptors,
    image_of_pyramid,
    laplacian_pyramid,
    level_sides,
    normalized,
    patch_distance_x1000,
    patches,
    sliced_wasserstein,
)


def noise(count: int, *, side: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator).float()


def distances(first: Tensor, second: Tensor) -> list[float]:
    positions, channels = torch.arange(len(first)), first.shape[1]
    levels = zip(descriptors(first, positions), descriptors(second, positions), strict=True)
    return [patch_distance_x1000(one, other, channels=channels, directions=16) for one, other in levels]


def test_the_pyramid_gives_back_its_images() -> None:
    images = noise(2).double()
    levels = laplacian_pyramid(images)
    assert [tuple(level.shape[-2:]) for level in levels] == [(32, 32), (16, 16)]
    torch.testing.assert_close(image_of_pyramid(levels), images, rtol=0, atol=1e-10)


def test_a_flat_image_has_no_detail() -> None:
    detail, rest = laplacian_pyramid(torch.full((1, 1, 32, 32), 7.0))
    torch.testing.assert_close(detail, torch.zeros_like(detail), rtol=0, atol=1e-5)
    torch.testing.assert_close(rest, torch.full((1, 1, 16, 16), 7.0))


def test_a_single_pixel_is_blurred_by_the_binomial_filter() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 8, 8] = 256.0
    taps = torch.tensor([1.0, 6.0, 1.0])  # every second of 1 4 6 4 1
    torch.testing.assert_close(laplacian_pyramid(image)[1][0, 0, 3:6, 3:6], torch.outer(taps, taps))


def test_the_border_is_mirrored() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 1] = 16.0  # column 1 is seen twice from column 0: itself, and its mirror image
    assert laplacian_pyramid(image)[1][0, 0, 5, 0].item() == pytest.approx(4 + 4)


def test_levels_go_down_to_sixteen_pixels() -> None:
    assert level_sides(1024, 1024) == [1024, 512, 256, 128, 64, 32, 16]
    assert level_sides(96, 192) == [96, 48, 24]
    assert level_sides(16, 16) == [16]


@pytest.mark.parametrize(("side", "message"), [(8, "8 x 8 pixels are too small"), (33, "multiples of 2")])
def test_sides_without_a_pyramid_are_refused(side: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        laplacian_pyramid(torch.zeros(1, 1, side, side))


def test_patches_are_cut_from_the_image_and_depend_on_position_and_seed_alone() -> None:
    image = torch.arange(20.0 * 20).reshape(1, 1, 20, 20)
    both = patches(image.repeat(2, 1, 1, 1), torch.tensor([5, 9]), per_image=40)
    cut = both.reshape(2, 40, 7, 7)
    steps = torch.arange(7) + 20 * torch.arange(7)[:, None]
    assert torch.equal(cut - cut[..., :1, :1], steps.float().expand(2, 40, 7, 7))
    assert not torch.equal(cut[0], cut[1])
    assert torch.equal(patches(image, torch.tensor([9]), per_image=40), both[1:])
    assert not torch.equal(patches(image, torch.tensor([9]), per_image=40, seed=1), both[1:])


def test_every_place_is_drawn_from() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 0, 0], image[..., 7, 7] = 1.0, 2.0
    cut = patches(image, torch.tensor([0]), per_image=200).reshape(200, 7, 7)
    assert {cut[i].max().item() for i in range(200)} == {0.0, 1.0, 2.0}


def test_channels_are_normalized_over_all_patches_of_a_set() -> None:
    described = descriptors(noise(3), torch.arange(3), per_image=10)[0]
    rows = normalized(described, channels=3).reshape(30, 3, 49)
    torch.testing.assert_close(rows.mean(dim=(0, 2)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows.var(dim=(0, 2), correction=0), torch.ones(3))


@pytest.mark.parametrize(("dimensions", "expected"), [(147, 0.06592042), (2, 0.63661977)])
def test_a_shift_costs_its_mean_projection(dimensions: int, expected: float) -> None:
    factor = math.exp(math.lgamma(dimensions / 2) - math.lgamma((dimensions + 1) / 2)) / math.sqrt(math.pi)
    assert factor == pytest.approx(expected, rel=1e-6)
    points = torch.randn(5, dimensions, dtype=torch.float64)
    shift = torch.zeros(dimensions, dtype=torch.float64)
    shift[0] = 3.0
    found = sliced_wasserstein(points, points + shift, repeats=20, directions=1000).item()
    assert found == pytest.approx(3 * expected, rel=0.02)


def test_in_one_dimension_it_is_the_wasserstein_distance_whatever_the_order() -> None:
    first, second = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[5.0], [2.0], [2.0]])
    assert sliced_wasserstein(first, second).item() == pytest.approx((1 + 0 + 2) / 3)


def test_sets_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="but have 2 and 3"):
        sliced_wasserstein(torch.zeros(2, 4), torch.zeros(3, 4))


def test_equal_sets_are_not_apart_and_different_ones_are() -> None:
    assert distances(noise(4), noise(4)) == [0.0, 0.0]
    dots = (noise(20, channels=1, seed=2) > 250).float()
    other_dots, grey = (noise(20, channels=1, seed=3) > 250).float(), noise(20, channels=1)
    far, near = distances(dots, grey), distances(dots, other_dots)
    print(far, near)
    assert far[0] > 2 * near[0]


def test_the_tint_of_a_set_does_not_count() -> None:
    recoloured = (
        noise(4) * torch.tensor([0.5, 2.0, 1.0])[:, None, None] + torch.tensor([1.0, 50.0, -9.0])[:, None, None]
    )
    assert max(distances(noise(4), recoloured)) < 0.01


def test_channels_without_contrast_stay_finite() -> None:
    flat = torch.full((2, 1, 32, 32), 3.0)
    assert all(math.isfinite(distance) for distance in distances(flat, noise(2, channels=1)))
