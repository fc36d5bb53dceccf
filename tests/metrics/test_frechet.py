"""The Fréchet distance against closed forms, torchmetrics and torch-fidelity."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

from lightning_gan.metrics import Gaussian, frechet_distance, frechet_floor, gaussian


def _normal(mean: list[float], covariance: list[list[float]]) -> Gaussian:
    return Gaussian(mean=tensor(mean).double(), covariance=tensor(covariance).double())


def _features(count: int, dimension: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimension, dimension, generator=generator)
    return torch.randn(count, dimension, generator=generator) @ mix + torch.randn(dimension, generator=generator)


def _random_covariance(dimension: int) -> Tensor:
    return gaussian(_features(50, dimension, seed=3)).covariance


def test_equal_covariances_leave_the_squared_shift_of_the_means() -> None:
    covariance = _random_covariance(5)
    first = Gaussian(mean=torch.zeros(5).double(), covariance=covariance)
    second = Gaussian(mean=tensor([3.0, 0, 4.0, 0, 0]).double(), covariance=covariance)
    assert frechet_distance(first, second).item() == pytest.approx(25.0)


def test_diagonal_covariances_compare_their_deviations() -> None:
    first = _normal([0.0, 0, 0], [[1.0, 0, 0], [0, 4, 0], [0, 0, 9]])
    second = _normal([1.0, 1, 1], [[4.0, 0, 0], [0, 4, 0], [0, 0, 1]])
    assert frechet_distance(first, second).item() == pytest.approx(8.0)


def test_a_scaled_covariance_costs_the_squared_difference_of_scale_times_its_trace() -> None:
    covariance, scale = _random_covariance(4), 1.7
    mean = torch.zeros(4).double()
    distance = frechet_distance(Gaussian(mean, covariance), Gaussian(mean, scale**2 * covariance))
    assert distance.item() == pytest.approx((1 - scale) ** 2 * covariance.trace().item())


def test_one_dimension_compares_mean_and_deviation() -> None:
    assert frechet_distance(_normal([1.0], [[4.0]]), _normal([3.0], [[25.0]])).item() == pytest.approx(13.0)


def test_covariances_that_do_not_commute() -> None:
    first, second = _normal([0.0, 0], [[2.0, 1], [1, 2]]), _normal([1.0, -2], [[1.0, 0], [0, 3]])
    assert frechet_distance(first, second).item() == pytest.approx(5 + 4 + 4 - 2 * math.sqrt(14), abs=1e-12)
    assert frechet_distance(first, second).item() == pytest.approx(5.51668523, abs=1e-8)
    assert frechet_distance(second, first).item() == pytest.approx(5.51668523, abs=1e-8)


def test_fewer_samples_than_features_are_no_distance_from_themselves() -> None:
    few = gaussian(_features(10, 40, seed=0))
    assert abs(frechet_distance(few, few).item()) < 1e-6 * few.covariance.trace().item()


@pytest.mark.parametrize(("count", "dimension"), [(10, 40), (40, 64), (200, 12)])
def test_rounding_makes_no_distance_negative(count: int, dimension: int) -> None:
    """From itself a set has the distance 0; of fewer samples than features, rounding leaves -2e-5 in place of it."""
    for seed in range(4):
        same = gaussian(5 * _features(count, dimension, seed=seed))
        assert 0 <= frechet_distance(same, same).item() < 1e-6 * same.covariance.trace().item()


def test_the_covariance_divides_by_one_less_than_the_count() -> None:
    assert gaussian(tensor([[0.0, 1.0], [2.0, 1.0]])).covariance.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert gaussian(tensor([[0.0], [2.0]])).covariance.tolist() == [[2.0]]


def test_one_sample_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        gaussian(torch.zeros(1, 3))


def test_it_agrees_with_torchmetrics_and_torch_fidelity() -> None:
    real, fake = _features(200, 12, seed=1), _features(150, 12, seed=2)
    ours = frechet_distance(gaussian(real), gaussian(fake)).item()
    torchmetrics = _compute_fid(*gaussian(real), *gaussian(fake)).item()
    statistics = [fid_features_to_statistics(features) for features in (real.double(), fake.double())]
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(torchmetrics, rel=1e-9)
    assert ours == pytest.approx(float(np.real(fidelity)), rel=1e-6)


def test_it_agrees_with_the_whole_metric_of_torchmetrics() -> None:
    metric = FrechetInceptionDistance(feature=torch.nn.Flatten(), input_img_size=(1, 3, 3))
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(0, high, (40, 1, 3, 3), generator=generator).byte() for high in (256, 200))
    metric.update(real.float(), real=True)
    metric.update(fake.float(), real=False)
    ours = frechet_distance(gaussian(real.flatten(1).float()), gaussian(fake.flatten(1).float())).item()
    assert ours == pytest.approx(metric.compute().item(), rel=1e-5)


def test_rotating_both_sets_changes_nothing() -> None:
    real, fake = _features(60, 6, seed=1).double(), _features(60, 6, seed=2).double()
    rotation = torch.linalg.qr(_features(6, 6, seed=5).double()).Q
    turned = frechet_distance(gaussian(real @ rotation), gaussian(fake @ rotation))
    assert turned.item() == pytest.approx(frechet_distance(gaussian(real), gaussian(fake)).item(), rel=1e-9)


def test_moving_both_sets_changes_nothing_and_scaling_them_squares() -> None:
    real, fake = _features(60, 6, seed=1).double(), _features(60, 6, seed=2).double()
    distance = frechet_distance(gaussian(real), gaussian(fake)).item()
    assert frechet_distance(gaussian(real + 7), gaussian(fake + 7)).item() == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(gaussian(real * 3), gaussian(fake * 3)).item() == pytest.approx(9 * distance, rel=1e-9)


def test_the_floor_is_the_known_bias_of_normal_samples() -> None:
    dimension, half = 8, 1000
    samples = torch.randn(2 * half, dimension, generator=torch.Generator().manual_seed(0))
    expected = (2 * dimension + dimension * (dimension + 1) / 2) / half
    assert frechet_floor(samples, seed=0).item() == pytest.approx(expected, rel=0.3)


def test_the_floor_is_a_function_of_features_and_seed() -> None:
    samples = _features(51, 3, seed=0)
    first = frechet_floor(samples, seed=4)
    torch.rand(7)
    assert torch.equal(frechet_floor(samples, seed=4), first)
    assert not torch.equal(frechet_floor(samples, seed=5), first)
