"""Precision, recall, density and coverage by hand, against torch-fidelity, and their expectations."""

import pytest
import torch
from torch import Tensor, tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from lightning_gan.metrics import PrecisionRecall, neighbour_radii, precision_recall

GRID = tensor([[0.0], [1.0], [2.0], [3.0]])
SCATTERED = tensor([[0.5], [10.0], [11.0], [12.0]])


def _normal(count: int, dimension: int, *, seed: int) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def test_four_points_by_hand() -> None:
    assert neighbour_radii(GRID, neighbours=1).tolist() == [1, 1, 1, 1]
    assert neighbour_radii(SCATTERED, neighbours=1).tolist() == [9.5, 1, 1, 1]
    assert precision_recall(GRID, SCATTERED, neighbours=1) == PrecisionRecall(
        precision=0.25, recall=1.0, density=0.5, coverage=0.5, density_error=0.5
    )


def test_a_fake_on_the_surface_of_a_ball_counts_for_precision_but_not_for_density() -> None:
    # With "<=" the density of a grid on itself would be 2.5.
    assert precision_recall(GRID, GRID, neighbours=1) == PrecisionRecall(
        precision=1.0, recall=1.0, density=1.0, coverage=1.0, density_error=0.0
    )
    outside = GRID + 4.0
    assert precision_recall(GRID, outside, neighbours=1) == PrecisionRecall(
        precision=0.25, recall=0.25, density=0.0, coverage=0.0, density_error=0.0
    )


def test_precision_and_recall_agree_with_torch_fidelity() -> None:
    real, fake = _normal(150, 4, seed=0), 0.7 * _normal(100, 4, seed=1) + 0.3
    precision, recall = calculate_precision_recall_full(fake.double(), real.double(), neighborhood=3)
    ours = precision_recall(real, fake, neighbours=3)
    assert (ours.precision, ours.recall) == pytest.approx((precision, recall))


def test_exchanging_the_sets_exchanges_precision_and_recall() -> None:
    real, fake = _normal(60, 3, seed=0), 1.5 * _normal(80, 3, seed=1)
    there, back = precision_recall(real, fake), precision_recall(fake, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_samples_of_one_distribution_have_density_one_and_the_expected_coverage() -> None:
    results = [precision_recall(_normal(300, 8, seed=seed), _normal(300, 8, seed=50 + seed)) for seed in range(8)]
    assert sum(result.density for result in results) / 8 == pytest.approx(1.0, abs=0.03)
    assert sum(result.coverage for result in results) / 8 == pytest.approx(0.8766, abs=0.015)


def test_the_error_of_the_density_is_its_deviation_over_sets_of_fakes() -> None:
    """The real images stay, because only the fakes are drawn anew for another measurement."""
    real = _normal(200, 3, seed=0)
    results = [precision_recall(real, 0.9 * _normal(150, 3, seed=100 + seed)) for seed in range(60)]
    densities = torch.tensor([result.density for result in results], dtype=torch.float64)
    expected = sum(result.density_error for result in results) / 60
    assert densities.std().item() == pytest.approx(expected, rel=0.25)


def test_small_blocks_give_the_same_numbers_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = _normal(37, 3, seed=0), _normal(23, 3, seed=1)
    whole = precision_recall(real, fake)
    monkeypatch.setattr("lightning_gan.metrics.pairwise_distances.TILE_ELEMENTS", 100)
    assert precision_recall(real, fake) == whole


def test_large_feature_values_keep_small_distances() -> None:
    # In float32, |x|^2 + |y|^2 - 2 x y of these is off by more than the distances themselves.
    far = tensor([[3000.0], [3000.25], [3001.0]])
    assert neighbour_radii(far.double(), neighbours=1).tolist() == pytest.approx([0.25, 0.25, 0.75])


def test_as_many_neighbours_as_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="neighbours=4 needs more than 4 samples in both sets"):
        precision_recall(GRID, torch.zeros(10, 1), neighbours=4)
