"""Path lengths of linear generators, whose Jacobian is their matrix."""

import math

import pytest
import torch
from torch import Tensor

from lightning_gan.penalties.path_jacobian import deviation_from_mean, image_noise, path_lengths


def linear_images(matrix: Tensor, styles: Tensor) -> Tensor:
    """Images of 1x8x6 from styles `batch 1 style`."""
    return (styles[:, 0] @ matrix.T).view(-1, 1, 8, 6)


def test_the_expected_squared_length_is_the_frobenius_norm_over_the_pixels() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(48, 5)
    images = linear_images(matrix, styles := torch.zeros(20_000, 1, 5, requires_grad=True))
    lengths = path_lengths(images, styles, image_noise(images))
    assert lengths.square().mean().item() == pytest.approx(matrix.square().sum().item() / 48, rel=0.02)


@pytest.mark.parametrize(("shape", "positions"), [((48,), 1), ((2, 24), 24), ((2, 2, 3, 4), 24)])
def test_outputs_that_are_no_images_have_their_positions_as_pixels(shape: tuple[int, ...], positions: int) -> None:
    """Vectors, signals and videos: ``E ||J'y||^2 = ||J||_F^2 / positions``."""
    torch.manual_seed(0)
    matrix = torch.randn(48, 5)
    outputs = linear_images(matrix, styles := torch.zeros(20_000, 1, 5, requires_grad=True)).view(-1, *shape)
    lengths = path_lengths(outputs, styles, image_noise(outputs))
    assert lengths.square().mean().item() == pytest.approx(matrix.square().sum().item() / positions, rel=0.02)


def test_twice_an_isometry_of_5_dimensions_has_mean_length_0_614() -> None:
    """y seen through Q' is 5 standard normals: the mean is a / sqrt(48) * sqrt(2) Gamma(3) / Gamma(2.5)."""
    torch.manual_seed(0)
    isometry, _ = torch.linalg.qr(torch.randn(48, 5))
    images = linear_images(2 * isometry, styles := torch.zeros(40_000, 1, 5, requires_grad=True))
    lengths = path_lengths(images, styles, image_noise(images))
    mean = 2 / math.sqrt(48) * math.sqrt(2) * math.gamma(3) / math.gamma(2.5)
    assert mean == pytest.approx(0.614212, abs=1e-6)
    assert lengths.mean().item() == pytest.approx(mean, rel=0.01)
    assert lengths.var().item() == pytest.approx(0.039411, rel=0.03)


def test_layers_count_with_their_root_mean_square() -> None:
    styles = torch.zeros(2, 2, 3, requires_grad=True)
    images = (
        (styles @ torch.tensor([1.0, 2.0, 2.0])).sum(dim=1).view(2, 1, 1, 1)
    )  # every layer has the gradient (1, 2, 2)
    assert path_lengths(images, styles, torch.ones(2, 1, 1, 1)).tolist() == [3.0, 3.0]


def test_images_upscaled_by_repeating_pixels_have_the_same_expected_length() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(48, 5)
    images = linear_images(matrix, styles := torch.zeros(20_000, 1, 5, requires_grad=True))
    large = images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    small_length, large_length = (path_lengths(i, styles, image_noise(i)).mean().item() for i in (images, large))
    assert large_length == pytest.approx(small_length, rel=0.02)


@pytest.mark.parametrize("updates", [1, 10, 100])
def test_after_t_updates_with_equal_lengths_the_mean_is_short_by_a_power_of_t(updates: int) -> None:
    mean = torch.zeros((), dtype=torch.float64)
    for _ in range(updates):
        _, mean = deviation_from_mean(torch.full((4,), 3.0, dtype=torch.float64), mean, decay=0.01)
    assert mean.item() == pytest.approx(3 * (1 - 0.99**updates))


def test_the_new_mean_is_used_at_once_and_gradients_flow_through_it() -> None:
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, mean = deviation_from_mean(lengths, torch.tensor(0.0), decay=0.5)
    assert (penalty.item(), mean.item()) == (2.0, 1.0)  # (0^2 + 2^2) / 2
    (gradient,) = torch.autograd.grad(penalty, lengths)
    assert gradient.tolist() == [-0.5, 1.5]  # (l_i - a) - E(l - a) / 2; a constant mean would give 0 and 2
