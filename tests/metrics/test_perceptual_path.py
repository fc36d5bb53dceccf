"""Perceptual path length: numbers known in closed form for linear generators and squared distances."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_gan.metrics.digit_features import DigitFeatures
from lightning_gan.metrics.perceptual_path import (
    DigitDistance,
    crop_face,
    mean_without_extremes,
    path_lengths,
    reduced,
    slerp,
)


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().sum(dim=(1, 2, 3))


def as_images(latents: Tensor) -> Tensor:
    return latents[:, :, None, None]


def test_between_orthogonal_latents_the_identity_moves_by_a_quarter_circle() -> None:
    """Every step of ε turns by ε π / 2, wherever it is: (π / 2)^2 = 2.4674."""
    first, second = torch.eye(4, dtype=torch.float64)[:2].repeat(3, 1, 1).movedim(1, 0)
    places, epsilon = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64), 1e-4
    start, end = (as_images(slerp(3 * first, second, t)) for t in (places, places + epsilon))
    lengths = path_lengths(start, end, distance=squared_distance, epsilon=epsilon)
    torch.testing.assert_close(lengths, torch.full((3,), math.pi**2 / 4, dtype=torch.float64), rtol=1e-7, atol=0)


def test_along_a_line_a_linear_generator_moves_by_its_image_of_it() -> None:
    matrix, first, second = torch.randn(3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for place in (0.0, 0.7):
        start, end = (as_images(first.lerp(second, t) @ matrix.T) for t in (place, place + 1e-4))
        lengths = path_lengths(start, end, distance=squared_distance, epsilon=1e-4)
        torch.testing.assert_close(lengths, ((second - first) @ matrix.T).square().sum(1), rtol=1e-6, atol=0)


def test_a_constant_generator_does_not_move() -> None:
    images = torch.ones(2, 1, 8, 8)
    assert path_lengths(images, images, distance=squared_distance, epsilon=1e-4).tolist() == [0.0, 0.0]


def test_slerp_starts_and_ends_at_the_directions_and_stays_of_length_one() -> None:
    first, second = torch.randn(2, 6, 4, dtype=torch.float64)
    at = [slerp(first, second, torch.full((6,), t, dtype=torch.float64)) for t in (0.0, 0.4, 1.0)]
    torch.testing.assert_close(at[0], first / first.norm(dim=1, keepdim=True))
    torch.testing.assert_close(at[2], second / second.norm(dim=1, keepdim=True))
    torch.testing.assert_close(at[1].norm(dim=1), torch.ones(6, dtype=torch.float64))
    cosine = (at[0] * at[2]).sum(1)
    torch.testing.assert_close((at[0] * at[1]).sum(1), (0.4 * cosine.acos()).cos())


def test_slerp_between_equal_latents_stays_there() -> None:
    latents = torch.randn(3, 4, dtype=torch.float64)
    middle = slerp(latents, latents, torch.full((3,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(middle, latents / latents.norm(dim=1, keepdim=True), rtol=0, atol=1e-7)


def test_the_face_is_cut_in_eighths() -> None:
    image = torch.arange(16.0 * 16).reshape(1, 1, 16, 16)
    assert torch.equal(crop_face(image), image[:, :, 6:14, 4:12])
    start, end = image, image.clone()
    end[..., 0, 0] += 1.0  # outside the face
    lengths = [
        path_lengths(start, end, distance=squared_distance, epsilon=1.0, crop_faces=c).item() for c in (True, False)
    ]
    assert lengths == [0.0, 1.0]
    with pytest.raises(ValueError, match="4 x 4 pixels are too small to crop a face"):
        crop_face(torch.zeros(1, 1, 4, 4))


def test_large_images_are_averaged_over_boxes() -> None:
    image = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]]).repeat(1, 1, 256, 256)
    assert torch.equal(reduced(image), torch.full((1, 1, 256, 256), 6.0))
    assert reduced(image[..., :300, :300]).shape[-1] == 300


def test_the_extremes_are_left_out_as_numpy_counts_them() -> None:
    lengths = torch.rand(1234, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 4
    low = np.percentile(lengths.numpy(), 1, method="lower")
    high = np.percentile(lengths.numpy(), 99, method="higher")
    inside = lengths[(lengths >= low) & (lengths <= high)]
    assert len(inside) < len(lengths)
    assert mean_without_extremes(lengths).item() == pytest.approx(inside.mean().item(), rel=1e-12)
    assert mean_without_extremes(lengths, share=0.0).item() == pytest.approx(lengths.mean().item(), rel=1e-12)


def test_a_distance_of_the_whole_batch_is_refused() -> None:
    images = torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"shape \(\) for 2 pairs.*one number per pair"):
        path_lengths(images, images, distance=lambda first, second: (first - second).sum(), epsilon=1e-4)


def test_the_distance_of_digits_is_that_of_their_features() -> None:
    images = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    first, second = DigitFeatures()(images).chunk(2)
    floats = images.float() / 127.5 - 1
    found = DigitDistance()(floats[:2], floats[2:])
    torch.testing.assert_close(found, (first - second).square().sum(1))


def test_the_distance_of_digits_sees_steps_smaller_than_a_grey_level() -> None:
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    direction = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    coarse, fine = (DigitDistance()(images, images + step * direction) / step**2 for step in (2e-3, 2e-4))
    torch.testing.assert_close(fine, coarse, rtol=0.05, atol=0)


def test_the_distance_of_digits_takes_colour_and_any_size() -> None:
    grey = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    colour = grey.expand(-1, 3, -1, -1)
    torch.testing.assert_close(DigitDistance()(colour, colour.flip(0)), DigitDistance()(grey, grey.flip(0)))
    assert DigitDistance()(torch.rand(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)).shape == (2,)
