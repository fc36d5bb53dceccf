"""Matrices of geometry, copied pixels and resampled images."""

import pytest
import torch
from torch import Tensor, tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

from lightning_gan.augmentations.warping import (
    _bilinear,
    blitted,
    quarter_turns,
    reflect_padded,
    reflected,
    rotation,
    scaling,
    translation,
    warped,
)
from lightning_gan.augmentations.wavelets import sym6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def smooth(height: int, width: int) -> Tensor:
    """Images of low frequencies, which resampling keeps."""
    images = noise(2, 3, height + 12, width + 12)
    for _ in range(3):
        images = avg_pool2d(images, 5, 1)
    return images


def each(value: float, *, count: int = 2) -> Tensor:
    return torch.full((count,), value, dtype=torch.float64)


def test_matrices_map_points_as_they_say() -> None:
    point = tensor([2.0, 1.0, 1.0], dtype=torch.float64)
    assert (scaling(each(3.0), each(0.5)) @ point).tolist() == [[6.0, 0.5, 1.0]] * 2
    assert (translation(each(3.0), each(-1.0)) @ point).tolist() == [[5.0, 0.0, 1.0]] * 2
    assert (rotation(each(torch.pi / 2)) @ point)[0].tolist() == pytest.approx([-1.0, 2.0, 1.0])
    for quarters in range(-3, 4):
        exact = quarter_turns(each(float(quarters)))
        torch.testing.assert_close(rotation(each(quarters * torch.pi / 2)), exact, rtol=0, atol=1e-15)
        assert torch.equal(exact, exact.round())


def test_blits_copy_pixels() -> None:
    images = noise(2, 3, 6, 6)
    one = each(1.0)
    assert torch.equal(blitted(images, scaling(-one, one)), images.flip(3))
    assert torch.equal(blitted(images, quarter_turns(each(1.0))), images.rot90(1, (2, 3)))
    assert torch.equal(blitted(images, quarter_turns(each(2.0))), images.flip(2, 3))
    moved = pad(images, (2, 0, 0, 1), mode="reflect")[:, :, 1:, :6]  # 2 to the right, 1 up
    assert torch.equal(blitted(images, translation(each(-2.0), each(1.0))), moved)


@pytest.mark.parametrize(("height", "width"), [(5, 8), (4, 4), (3, 2)])
def test_blits_and_warps_of_nothing_are_the_images(height: int, width: int) -> None:
    images = noise(2, 1, height, width)
    identity = scaling(each(1.0), each(1.0))
    assert torch.equal(blitted(images, identity), images)
    torch.testing.assert_close(warped(images, identity, low_pass=sym6()), images, rtol=0, atol=1e-10)


def test_warps_by_whole_pixels_are_exact_because_the_wavelet_is_orthogonal() -> None:
    images = noise(2, 3, 9, 7)
    moved = warped(images, translation(each(-2.0), each(1.0)), low_pass=sym6())
    torch.testing.assert_close(moved[:, :, :-1, 2:], images[:, :, 1:, :-2], rtol=0, atol=1e-10)


def test_a_warp_of_smooth_images_is_what_it_says() -> None:
    """Flips, quarter turns and half pixels within interpolation's error, at every pixel of a reflected image."""
    images = smooth(16, 16)
    scale = images.std().item()
    for inverse, expected in (
        (scaling(each(-1.0), each(1.0)), images.flip(3)),
        (rotation(each(torch.pi / 2)), images.rot90(1, (2, 3))),
    ):
        error = (warped(images, inverse, low_pass=sym6()) - expected)[:, :, 2:-2, 2:-2].abs().max().item()
        assert error < 0.05 * scale
    between = (images[..., 1:] + images[..., :-1]) / 2
    halfway = warped(images, translation(each(0.5), each(0.0)), low_pass=sym6())[..., :-1]
    assert (halfway - between)[:, :, 2:-2, 2:-2].abs().max().item() < 0.1 * scale


def test_two_warps_one_after_the_other_are_the_product_of_their_inverses() -> None:
    images = smooth(24, 20)
    turn, stretch = rotation(each(0.3)), scaling(each(0.8), each(1.1))
    both = warped(images, turn @ stretch, low_pass=sym6())
    after = warped(warped(images, turn, low_pass=sym6()), stretch, low_pass=sym6())
    assert (both - after)[:, :, 8:-8, 8:-8].abs().max().item() < 0.05 * images.std().item()


def test_bilinear_sampling_equals_torchs() -> None:
    images = noise(2, 3, 6, 5)
    x, y = (torch.rand(2, 11, dtype=torch.float64) * (size - 1) for size in (5, 6))
    grid = torch.stack([2 * x / 4 - 1, 2 * y / 5 - 1], dim=-1)[:, None]
    expected = grid_sample(images, grid, mode="bilinear", align_corners=True)[:, :, 0]
    torch.testing.assert_close(_bilinear(images, x, y), expected)


def test_reflection_equals_torchs_and_goes_on_forever() -> None:
    images = noise(1, 2, 5, 4)
    assert torch.equal(reflect_padded(images, pixels=3), pad(images, (3, 3, 3, 3), mode="reflect"))
    assert reflect_padded(images, pixels=21).shape == (1, 2, 47, 46)
    assert reflected(torch.arange(-3, 3), last=0).tolist() == [0] * 6


def test_a_constant_stays_one_under_any_warp() -> None:
    inverse = rotation(each(1.0)) @ scaling(each(0.1), each(3.0)) @ translation(each(40.0), each(-7.0))
    images = torch.ones(2, 1, 6, 9, dtype=torch.float64)
    # Two phases of the filter have sums of 1/2 up to 1e-11, whose ripple the reduction takes out but for 1e-10.
    torch.testing.assert_close(warped(images, inverse, low_pass=sym6()), images, rtol=0, atol=1e-10)


def test_a_line_of_pixels_cannot_be_warped() -> None:
    with pytest.raises(ValueError, match="images of 1x6 pixels cannot be warped; leave geometry out"):
        warped(torch.ones(2, 1, 1, 6), scaling(each(1.0), each(1.0)).float(), low_pass=sym6())
