"""The Fréchet distance of infinitely many images: exact on a line, and without the bias of few images."""

import numpy as np
import pytest
import torch

from lightning_gan.metrics.frechet import Gaussian, frechet_distance, gaussian
from lightning_gan.metrics.frechet_extrapolation import fitted_at_infinity, frechet_at_infinity


def test_a_line_over_the_inverse_count_is_found_exactly() -> None:
    counts = [500, 700, 1500, 5000]
    found = fitted_at_infinity(counts, [7.25 + 1234.5 / count for count in counts])
    assert found.distance == pytest.approx(7.25, rel=1e-12)
    assert found.error == pytest.approx(0, abs=1e-10)


def test_intercept_and_error_are_those_of_numpys_fit() -> None:
    counts = [50, 100, 150, 200, 400]
    distances = [3.1, 2.2, 1.9, 1.75, 1.5]
    inverse = [1 / count for count in counts]
    (_, intercept), covariance = np.polyfit(inverse, distances, 1, cov=True)
    found = fitted_at_infinity(counts, distances)
    assert found.distance == pytest.approx(intercept, rel=1e-9)
    assert found.error == pytest.approx(covariance[1, 1] ** 0.5, rel=1e-9)


def test_the_bias_of_few_images_goes_away() -> None:
    """N samples of a standard normal distribution have about (2 d + d (d + 1) / 2) / N, and the whole one has 0."""
    dimensions = 16
    real = Gaussian(mean=torch.zeros(dimensions).double(), covariance=torch.eye(dimensions).double())
    samples = [torch.randn(2000, dimensions, generator=torch.Generator().manual_seed(seed)) for seed in range(12)]
    biased = sum(frechet_distance(real, gaussian(fake)).item() for fake in samples) / 12
    found = [frechet_at_infinity(real, fake, seed=0) for fake in samples]
    assert abs(sum(one.distance for one in found) / 12) < biased / 6
    assert all(abs(one.distance) < 4 * one.error for one in found)
    fake = samples[0]
    assert frechet_at_infinity(real, fake, seed=0) == found[0] != frechet_at_infinity(real, fake, seed=1)


def test_too_few_are_refused() -> None:
    real = gaussian(torch.randn(5, 2))
    with pytest.raises(ValueError, match=r"19 fakes and 15 points are too few .* give at least 20 fakes and 3 points"):
        frechet_at_infinity(real, torch.randn(19, 2), seed=0)
    with pytest.raises(ValueError, match=r"40 fakes and 2 points are too few"):
        frechet_at_infinity(real, torch.randn(40, 2), seed=0, points=2)
