"""ADA's pipeline: what its draws are, that p = 0 changes nothing, and that it can be differentiated twice."""

import math

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.augmentations import AugmentationGroups, augmented, filter_bank, sym6
from lightning_gan.augmentations.adaptive import random_blits, random_colours, random_gains, random_geometry
from lightning_gan.tensors.draws_by_position import drawing

COUNT = 10_000
ALL = AugmentationGroups(filter=1.0, noise=1.0, cutout=1.0)
OFF = {"blit": 0.0, "geometry": 0.0, "colour": 0.0}


def augment(images: Tensor, p: float, *, groups: AugmentationGroups = ALL, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augmented(images, tensor(p), groups=groups, low_pass=sym6(), bank=filter_bank())


def share(chosen: Tensor) -> float:
    return float(chosen.double().mean())


def many(*, height: int = 16, width: int = 24) -> Tensor:
    torch.manual_seed(0)
    return torch.empty(COUNT, 1, height, width, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 3, 9, 16), (1, 1, 4, 4)])
def test_probability_zero_returns_the_images_bit_for_bit(shape: tuple[int, ...]) -> None:
    images = torch.randn(*shape)
    assert torch.equal(augment(images, 0.0), images)
    assert not torch.equal(augment(images, 1.0), images)


def test_images_to_which_nothing_applies_are_returned_bit_for_bit() -> None:
    images = torch.randn(2000, 1, 4, 4)
    same = (augment(images, 0.2, groups=AugmentationGroups(colour=0.0)) == images).flatten(1).all(1)
    # Of 3 blits and 5 operations of geometry, in which the two rotations together have the probability p.
    # Half of the flips, quarter turns by 0 and shifts by less than half a pixel copy the image as well.
    flip, turn, shift = 1 - 0.2 / 2, 1 - 0.2 * 3 / 4, 1.0  # an eighth of 4 pixels is half a pixel
    assert share(same) == pytest.approx(flip * turn * shift * 0.8**4, abs=0.03)


def test_each_group_is_a_switch_of_its_own() -> None:
    images = torch.randn(8, 3, 12, 12)
    seen = [augment(images, 1.0, groups=AugmentationGroups(**{**OFF, name: 1.0})) for name in ALL.__dict__]
    assert all(not torch.equal(own, images) for own in seen)
    assert all(not torch.equal(seen[i], seen[j]) for i in range(6) for j in range(i))


@pytest.mark.parametrize("p", [0.25, 1.0])
def test_blits_have_the_distribution_of_the_paper(p: float) -> None:
    inverse, moved = random_blits(many(), tensor(p))
    flipped = torch.linalg.det(inverse[:, :2, :2]) < 0
    turned = inverse[:, 0, 0] == 0  # by 90 or 270 degrees
    assert share(flipped) == pytest.approx(p / 2, abs=0.015)
    assert share(turned) == pytest.approx(p / 2, abs=0.015)
    assert share(moved) == pytest.approx(1 - (1 - p) ** 3, abs=0.015)
    assert torch.equal(inverse, inverse.round())
    straight = inverse[~flipped & ~turned & (inverse[:, 0, 0] == 1)]
    x, y = straight[:, 0, 2], straight[:, 1, 2]
    assert (x.abs().max().item(), y.abs().max().item()) == (3, 2)  # an eighth of 24 and 16 pixels
    # Rounded from U(-3, 3): 0 has a sixth, 3 has half a sixth.
    assert share(x == 0) == pytest.approx(1 - p + p / 6, abs=0.03)
    assert share(x == 3) == pytest.approx(p / 12, abs=0.02)


def test_geometry_has_the_distribution_of_the_paper() -> None:
    inverse, moved = random_geometry(many(), tensor(1.0))
    areas = -torch.linalg.det(inverse).log2() / 2  # the stretch keeps areas
    assert share(moved) == 1
    assert areas.mean().item() == pytest.approx(0, abs=0.01)
    assert areas.std().item() == pytest.approx(0.2, rel=0.03)
    stretches = torch.linalg.svdvals(inverse[:, :2, :2]).log2()
    assert ((stretches[:, 0] - stretches[:, 1]) / 2).square().mean().sqrt().item() == pytest.approx(0.2, rel=0.03)
    shifts = torch.linalg.solve(inverse[:, :2, :2], inverse[:, :2, 2:])[:, :, 0]
    assert shifts.std(0).tolist() == pytest.approx([3.0, 2.0], rel=0.03)
    turns = torch.atan2(inverse[:, 1, 0] - inverse[:, 0, 1], inverse[:, 0, 0] + inverse[:, 1, 1])
    assert turns.std().item() == pytest.approx(2 * math.pi / 12**0.5, rel=0.03)  # uniform


def test_an_image_is_rotated_with_the_probability_p_in_two_chances() -> None:
    """Each has 1 - sqrt(1 - 0.6) = 0.36754447."""
    assert 1 - math.sqrt(1 - 0.6) == pytest.approx(0.36754447)
    inverse, _ = random_geometry(many(), tensor(0.6))
    assert share(inverse[:, 0, 1] != 0) == pytest.approx(0.6, abs=0.015)


def test_colours_have_the_distribution_of_the_paper() -> None:
    matrices, _ = random_colours(many(), tensor(1.0))
    grey = matrices[:, :3, :3].sum(2).mean(1)  # contrast, with the sign of the luma flip
    assert share(grey < 0) == pytest.approx(0.5, abs=0.015)
    assert grey.abs().log2().std().item() == pytest.approx(0.5, rel=0.03)
    offsets = matrices[:, :3, 3].mean(1) / grey
    assert offsets.std().item() == pytest.approx(0.2, rel=0.03)
    volumes = (torch.linalg.det(matrices) / grey.pow(3)).log2() / 2  # the saturation scales two of three axes
    assert volumes.std().item() == pytest.approx(1.0, rel=0.03)
    plane = (
        tensor([1.0, -1.0, 0.0], dtype=torch.float64) / 2**0.5,
        tensor([1.0, 1.0, -2.0], dtype=torch.float64) / 6**0.5,
    )
    turned = matrices[:, :3, :3] @ plane[0]
    angles = torch.atan2(turned @ plane[1], turned @ plane[0])
    assert angles.std().item() == pytest.approx(2 * math.pi / 12**0.5, rel=0.03)
    assert share(random_colours(many(), tensor(0.5))[1]) == pytest.approx(1 - 0.5**5, abs=0.015)


def test_gains_are_amplified_band_by_band() -> None:
    gains, chosen = random_gains(many(), tensor(0.25))
    power = tensor([10.0, 1.0, 1.0, 1.0], dtype=torch.float64) / 13
    assert share(chosen) == pytest.approx(1 - 0.75**4, abs=0.015)
    assert torch.equal(gains[~chosen], torch.ones_like(gains[~chosen]))
    one_band = (gains[:, 1:] - gains[:, 1:2]).abs().amax(1) < 1e-12  # at most the lowest was amplified
    assert (gains[one_band].square() @ power - 1).abs().max().item() < 1e-12
    ratios = (random_gains(many(), tensor(1.0))[0].log2() @ tensor([0.0, 1.0, -1.0, 0.0], dtype=torch.float64)).std()
    assert ratios.item() == pytest.approx(2**0.5, rel=0.03)  # of two bands with N(0, 1) each


def test_noise_is_half_normal_and_the_cutout_takes_a_quarter_at_most() -> None:
    images = torch.zeros(COUNT, 1, 8, 8, dtype=torch.float64)
    noisy = augment(images, 0.5, groups=AugmentationGroups(**{**OFF, "noise": 1.0}))
    assert share(noisy.flatten(1).any(1)) == pytest.approx(0.5, abs=0.015)
    assert noisy.square().mean().item() == pytest.approx(0.5 * 0.1**2, rel=0.06)
    cut = augment(images + 1, 0.5, groups=AugmentationGroups(**{**OFF, "cutout": 1.0})).flatten(1)
    lost = 1 - cut.mean(1)
    assert lost.max().item() == 0.25
    assert share(lost > 0) == pytest.approx(0.5, abs=0.015)
    # Of a side, 1/2 is cut off if its middle is in the inner half, and between 1/4 and 1/2 otherwise.
    assert lost[lost > 0].mean().item() == pytest.approx((0.5 * 0.5 + 0.5 * 0.375) ** 2, rel=0.03)


def test_rows_are_drawn_by_position() -> None:
    images = torch.randn(8, 3, 8, 8)

    def part(index: int, parts: int) -> Tensor:
        own = images.chunk(parts)[index]
        with drawing(images.device, seed=5, first=index, parts=parts):
            return augmented(own, tensor(0.7), groups=ALL, low_pass=sym6(), bank=filter_bank())

    with drawing(images.device, seed=5, first=0, parts=1):
        torch.manual_seed(5)
        whole = augmented(images, tensor(0.7), groups=ALL, low_pass=sym6(), bank=filter_bank())
    torch.testing.assert_close(torch.cat([part(0, 2), part(1, 2)]), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("groups", [AugmentationGroups(**{**OFF, name: 1.0}) for name in ALL.__dict__])
def test_it_can_be_differentiated_twice(groups: AugmentationGroups) -> None:
    images = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)

    def seeded(own: Tensor) -> Tensor:
        return augment(own, 1.0, groups=groups)

    assert torch.autograd.gradcheck(seeded, (images,))
    assert torch.autograd.gradgradcheck(lambda own: seeded(own).square(), (images,))


def test_groups_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"AugmentationGroups: filter=-1\.0 must be finite and not negative; 0 leaves"):
        AugmentationGroups(filter=-1.0)
    with pytest.raises(ValueError, match="all groups are 0, so that nothing is augmented; set one to 1"):
        AugmentationGroups(**OFF)
