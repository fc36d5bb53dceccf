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


def _by_symmetric_root(first: Gaussian, second: Gaussian) -> float:
    values, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    eigenvalues = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0)
    traces = first.covariance.trace() + second.covariance.trace() - 2 * eigenvalues.sqrt().sum()
    return ((first.mean - second.mean).square().sum() + traces).item()


def _covariance(dimension: int, *, decades: float, seed: int) -> Tensor:
    """A covariance in random directions whose variances fall from 1 over this many decades."""
    directions = torch.linalg.qr(_features(dimension, dimension, seed=seed).double()).Q
    covariance = directions * 10.0 ** (-decades * torch.linspace(0, 1, dimension).double()) @ directions.T
    return (covariance + covariance.T) / 2


@pytest.mark.parametrize("decades", [0, 4, 8, 10, 12, 15])
def test_whichever_root_is_taken_the_distance_is_that_of_the_symmetric_root(decades: float) -> None:
    first, second = (
        Gaussian(torch.full((96,), mean).double(), _covariance(96, decades=decades, seed=seed))
        for mean, seed in ((0.0, 1), (0.1, 2))
    )
    variances = first.covariance.trace().item() + second.covariance.trace().item()
    assert frechet_distance(first, second).item() == pytest.approx(
        _by_symmetric_root(first, second), rel=0, abs=1e-9 * variances
    )


def test_full_rank_needs_no_eigenvectors_and_missing_rank_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise AssertionError

    full, flat = gaussian(_features(200, 12, seed=1)), gaussian(_features(8, 12, seed=2))
    monkeypatch.setattr(torch.linalg, "eigh", refused)
    frechet_distance(full, flat)
    with pytest.raises(AssertionError):
        frechet_distance(flat, full)


def test_a_missing_rank_on_either_side_gives_the_same_distance() -> None:
    full, flat = gaussian(_features(200, 12, seed=1)), gaussian(_features(8, 12, seed=2))
    variances = full.covariance.trace().item() + flat.covariance.trace().item()
    assert frechet_distance(full, flat).item() == pytest.approx(
        frechet_distance(flat, full).item(), abs=1e-7 * variances
    )


@pytest.mark.parametrize("count", [60, 61])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_the_floor_is_the_mean_distance_of_the_halves_themselves(count: int, shift: float) -> None:
    samples = _features(count, 6, seed=0) + shift
    generator = torch.Generator().manual_seed(4)
    expected = []
    for _ in range(5):
        order = torch.randperm(count, generator=generator)
        halves = [gaussian(samples[order[start : start + 30]]) for start in (0, 30)]
        expected.append(_by_symmetric_root(*halves))
    assert frechet_floor(samples, seed=4).item() == pytest.approx(sum(expected) / 5, rel=1e-9)


def test_the_floor_of_equal_samples_is_zero() -> None:
    assert frechet_floor(torch.full((31, 4), 0.3), seed=0).item() == 0


def test_three_samples_have_no_halves() -> None:
    with pytest.raises(ValueError, match="two halves need at least 4 samples, but there are 3"):
        frechet_floor(torch.zeros(3, 2), seed=0)


@pytest.mark.parametrize("dimension", [1, 7, 20, 21])
def test_strips_of_features_give_the_same_distance_as_one(monkeypatch: pytest.MonkeyPatch, dimension: int) -> None:
    real, fake = _features(100, dimension, seed=1), 1.2 * _features(90, dimension, seed=2)
    expected, floor = frechet_distance(gaussian(real), gaussian(fake)), frechet_floor(real, seed=0)
    monkeypatch.setattr("lightning_gan.metrics.frechet.FEATURES_PER_PRODUCT", 7)
    strips, covariance = gaussian(real), real.double().T.cov().reshape(dimension, dimension)
    torch.testing.assert_close(strips.covariance, covariance, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(frechet_distance(strips, gaussian(fake)), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(frechet_floor(real, seed=0), floor, rtol=1e-9, atol=0)
