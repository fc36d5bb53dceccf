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


def _inception_like(count: int, *, seed: int) -> Tensor:
    """Rectified features with common directions, whose mean is much larger than their differences between sets."""
    mix = torch.randn(16, 256, generator=torch.Generator().manual_seed(99)) / 4
    return (_normal(count, 16, seed=seed) @ mix + 0.1 * _normal(count, 256, seed=seed + 1) + 1).relu()


def _all_pairs(real: Tensor, fake: Tensor) -> float:
    """The estimate as its paper defines it, from every pair in float64."""

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        products: Tensor = (first.double()[:, None] * second.double()).sum(2)
        return (products / first.shape[1] + 1) ** 3

    means = [kernel(one, one).fill_diagonal_(0).sum() / (len(one) * (len(one) - 1)) for one in (real, fake)]
    return (means[0] + means[1] - 2 * kernel(real, fake).mean()).item()


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_fp32_products_change_less_than_a_third_of_a_millionth(shift: float) -> None:
    real, fake = _inception_like(300, seed=0) + shift, _inception_like(260, seed=10) * 0.9 + shift
    expected = _all_pairs(real, fake)
    assert squared_discrepancy(real, fake).item() == pytest.approx(expected, rel=3e-7)
    assert squared_discrepancy(real.double(), fake.double()).item() == pytest.approx(expected, rel=1e-9)


def test_products_without_their_centre_would_change_more() -> None:
    real, fake = _inception_like(300, seed=0) + 30, _inception_like(260, seed=10) * 0.9 + 30
    plain = [
        ((first @ second.T).double() / 256 + 1) ** 3 for first, second in ((real, real), (fake, fake), (real, fake))
    ]
    means = [(kernel.sum() - kernel.diagonal().sum()) / (len(kernel) * (len(kernel) - 1)) for kernel in plain[:2]]
    rough = (means[0] + means[1] - 2 * plain[2].mean()).item()
    assert rough != pytest.approx(_all_pairs(real, fake), rel=3e-7)


@pytest.mark.parametrize("subsets", [3, 40])
def test_each_subset_is_the_distance_of_its_samples(subsets: int) -> None:
    """With 3 subsets each has products of its own, and with 40 all are from one product."""
    real, fake = _inception_like(90, seed=0).double(), _inception_like(70, seed=10).double()
    generator = torch.Generator().manual_seed(5)
    expected = []
    for _ in range(subsets):
        chosen = [points[torch.randperm(len(points), generator=generator)[:25]] for points in (real, fake)]
        expected.append(_all_pairs(*chosen))
    distances = kernel_distances(real, fake, subsets=subsets, subset_size=25, seed=5)
    assert distances.tolist() == pytest.approx(expected, rel=1e-9)


def test_few_and_many_subsets_begin_alike_though_their_products_are_others() -> None:
    real, fake = _inception_like(90, seed=0).double(), _inception_like(70, seed=10).double()
    few, many = (kernel_distances(real, fake, subsets=subsets, subset_size=25, seed=5) for subsets in (3, 40))
    torch.testing.assert_close(few, many[:3], rtol=1e-10, atol=0)


def test_small_blocks_give_the_same_distance_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = _inception_like(50, seed=0).double(), _inception_like(41, seed=10).double()
    whole = squared_discrepancy(real, fake)
    monkeypatch.setattr("lightning_gan.metrics.kernel.BLOCK_ELEMENTS", 350)
    torch.testing.assert_close(squared_discrepancy(real, fake), whole, rtol=1e-12, atol=0)


def test_autocast_does_not_reach_the_products() -> None:
    real, fake = _inception_like(50, seed=0), _inception_like(41, seed=10)
    expected = squared_discrepancy(real, fake)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(squared_discrepancy(real, fake), expected)


def test_a_common_rotation_changes_nothing() -> None:
    real, fake = _inception_like(50, seed=0).double(), _inception_like(41, seed=10).double()
    rotation = torch.linalg.qr(_normal(256, 256, seed=3).double()).Q
    turned = squared_discrepancy(real @ rotation, fake @ rotation)
    torch.testing.assert_close(turned, squared_discrepancy(real, fake), rtol=1e-9, atol=0)
