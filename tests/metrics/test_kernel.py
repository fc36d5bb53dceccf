"""The kernel distance against closed forms and torchmetrics."""

import pytest
import torch
from torch import Tensor, tensor
from torchmetrics.image.kid import poly_mmd

from lightning_gan.metrics import kernel_distances, squared_discrepancy


def _normal(count: int, dimension: int, *, seed: int) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def test_two_points_against_themselves_by_hand() -> None:
    points = tensor([[0.0], [1.0]])
    assert squared_discrepancy(points, points).item() == -3.5


def test_two_points_against_two_others_by_hand() -> None:
    assert squared_discrepancy(tensor([[0.0], [1.0]]), tensor([[1.0], [2.0]])).item() == 9.5


def test_shifted_normals_have_the_expected_discrepancy() -> None:
    shift = tensor([1.0, 0.0, 0.0, 0.0])
    estimates = [
        squared_discrepancy(_normal(1500, 4, seed=seed), _normal(1500, 4, seed=100 + seed) + shift).item()
        for seed in range(8)
    ]
    assert sum(estimates) / len(estimates) == pytest.approx(1.328125, abs=0.06)


def test_unlike_the_frechet_distance_it_depends_on_where_both_sets_are() -> None:
    real, fake = _normal(50, 4, seed=1), _normal(50, 4, seed=2) + 0.5
    moved = squared_discrepancy(real + 3, fake + 3)
    assert not torch.allclose(moved, squared_discrepancy(real, fake), rtol=0.5)


def test_it_agrees_with_torchmetrics() -> None:
    real, fake = _normal(50, 6, seed=0).double(), 2 * _normal(50, 6, seed=1).double()
    assert squared_discrepancy(real, fake).item() == pytest.approx(poly_mmd(real, fake).item(), rel=1e-9)


def test_the_order_of_samples_changes_nothing() -> None:
    real, fake = _normal(20, 3, seed=0), _normal(30, 3, seed=1)
    assert squared_discrepancy(real.flip(0), fake).item() == pytest.approx(squared_discrepancy(real, fake).item())


def test_a_subset_of_all_samples_is_the_whole_set() -> None:
    real, fake = _normal(20, 3, seed=0), _normal(20, 3, seed=1)
    distances = kernel_distances(real, fake, subsets=3, subset_size=20, seed=0)
    assert distances.tolist() == pytest.approx([squared_discrepancy(real, fake).item()] * 3)


def test_the_mean_over_subsets_estimates_the_whole() -> None:
    real, fake = _normal(200, 3, seed=0), 1.5 * _normal(300, 3, seed=1)
    distances = kernel_distances(real, fake, subsets=200, subset_size=60, seed=0)
    standard_error = distances.std() / 200**0.5
    # Subsets overlap, so that their standard error counts the noise that they do not share.
    assert abs(distances.mean() - squared_discrepancy(real, fake)) < 4 * standard_error
    assert torch.equal(distances, kernel_distances(real, fake, subsets=200, subset_size=60, seed=0))


@pytest.mark.parametrize("subset_size", [1, 11])
def test_subsets_that_do_not_fit_are_refused(subset_size: int) -> None:
    with pytest.raises(ValueError, match=f"subset_size={subset_size} must lie between 2 and the smaller set's 10"):
        kernel_distances(_normal(10, 2, seed=0), _normal(20, 2, seed=0), subset_size=subset_size)
