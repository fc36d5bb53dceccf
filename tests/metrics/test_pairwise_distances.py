"""Distances by hand, against all differences in float64, and by invariances, also where fp32 products lose them."""

import statistics
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.metrics import PrecisionRecall, precision_recall
from lightning_gan.metrics.pairwise_distances import PairwiseDistances

TRIANGLE = tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 12.0]])


def normal(count: int, dimension: int, *, seed: int) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def clusters(count: int, *, seed: int, apart: float = 3000.0) -> Tensor:
    """Points around ten centres, which are so many times as far from each other as the points of one of them."""
    return normal(count, 16, seed=seed) + apart * normal(10, 16, seed=99).repeat(count // 10, 1)


SETS = {
    "normal": normal(230, 16, seed=0),
    "long features": normal(90, 2048, seed=0),
    "far away": normal(230, 16, seed=0) + 3000,
    "clusters": clusters(230, seed=0),
    "with copies": torch.cat([normal(200, 16, seed=0), normal(200, 16, seed=0)[:30]]),
    "all equal": torch.ones(230, 16),
    "one outlier": torch.cat([normal(229, 16, seed=0), torch.full((1, 16), 1e6)]),
    "large": 1e25 * normal(230, 16, seed=0),
    "small": 1e-30 * normal(230, 16, seed=0),
    "float64": normal(230, 16, seed=0).double() + 1e7,
}


@pytest.fixture(params=SETS.values(), ids=SETS.keys())
def points(request: pytest.FixtureRequest) -> Tensor:
    chosen = request.param
    assert isinstance(chosen, Tensor)
    return chosen


@pytest.fixture(params=[2**20, 1600], ids=["one tile", "tiles of 40"])
def _tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gan.metrics.pairwise_distances.TILE_ELEMENTS", request.param)


@pytest.fixture
def _rounded_products() -> Iterator[None]:
    """Settings under which products of fp32 tensors have the eight digits of bf16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
    torch.set_float32_matmul_precision(before)


def distances_of(rows: Tensor, columns: Tensor) -> Tensor:
    """All distances from differences in float64."""
    return torch.cdist(rows.double(), columns.double(), compute_mode="donot_use_mm_for_euclid_dist")


def distances_elsewhere(points: Tensor) -> Tensor:
    return distances_of(points, points).fill_diagonal_(torch.inf)


def ball_counts(real: Tensor, fake: Tensor, *, k: int) -> PrecisionRecall:
    """Precision, recall, density and coverage as their papers define them, from all distances."""
    real_radii, fake_radii = (distances_elsewhere(points).kthvalue(k, dim=1).values for points in (real, fake))
    distances = distances_of(real, fake)
    inside = distances < real_radii[:, None]
    return PrecisionRecall(
        precision=(distances <= real_radii[:, None]).any(0).double().mean().item(),
        recall=(distances <= fake_radii).any(1).double().mean().item(),
        density=inside.sum().item() / (k * len(fake)),
        coverage=inside.any(1).double().mean().item(),
        density_error=statistics.stdev(inside.sum(0).tolist()) / len(fake) ** 0.5 / k,
    )


def assert_same(found: PrecisionRecall, expected: PrecisionRecall) -> None:
    """The counts are equal bit for bit; the error of the density is calculated in another way."""
    assert found[:4] == expected[:4]
    assert found.density_error == pytest.approx(expected.density_error, rel=1e-12)


def test_the_sides_of_a_triangle_by_hand() -> None:
    nearest = PairwiseDistances(TRIANGLE, TRIANGLE).kth_nearest(1, elsewhere=True)
    assert (nearest.distance.tolist(), nearest.place.tolist()) == ([5, 5, 73**0.5], [1, 0, 1])
    farthest = PairwiseDistances(TRIANGLE, TRIANGLE).kth_nearest(2, elsewhere=True)
    assert (farthest.distance.tolist(), farthest.place.tolist()) == ([12, 73**0.5, 12], [2, 2, 0])
    itself = PairwiseDistances(TRIANGLE, TRIANGLE).kth_nearest(1, elsewhere=False)
    assert (itself.distance.tolist(), itself.place.tolist()) == ([0, 0, 0], [0, 1, 2])


@pytest.mark.usefixtures("_tiles")
@pytest.mark.parametrize("k", [1, 3, 20])
def test_neighbours_are_those_of_all_differences(points: Tensor, k: int) -> None:
    expected = distances_elsewhere(points).kthvalue(k, dim=1).values
    found = PairwiseDistances(points, points).kth_nearest(k, elsewhere=True)
    torch.testing.assert_close(found.distance, expected, rtol=1e-12, atol=0)
    assert (found.place != torch.arange(len(points))).all()
    at_place = distances_of(points, points)[torch.arange(len(points)), found.place]
    torch.testing.assert_close(at_place, expected, rtol=1e-12, atol=0)


@pytest.mark.usefixtures("_tiles")
def test_neighbours_in_another_set_are_those_of_all_differences(points: Tensor) -> None:
    others = points.flip(0)[:100] * 1.25
    expected = distances_of(points, others).kthvalue(2, dim=1).values
    found = PairwiseDistances(points, others).kth_nearest(2, elsewhere=False)
    torch.testing.assert_close(found.distance, expected, rtol=1e-12, atol=0)


@pytest.mark.usefixtures("_tiles")
@pytest.mark.parametrize(
    "name", ["normal", "long features", "far away", "with copies", "one outlier", "large", "small"]
)
def test_all_four_counts_are_those_of_all_differences(name: str) -> None:
    real = SETS[name]
    fake = torch.cat([real[:40], 0.8 * real[10:80] + 0.2 * real[:70]])  # the first ones are on surfaces of balls
    assert_same(precision_recall(real, fake, neighbours=3), ball_counts(real, fake, k=3))


@pytest.mark.usefixtures("_tiles")
def test_all_four_counts_of_a_set_with_itself_are_those_of_all_differences() -> None:
    same = SETS["normal"]
    assert_same(precision_recall(same, same, neighbours=3), ball_counts(same, same, k=3))


@pytest.mark.usefixtures("_tiles")
def test_counts_between_dense_clusters_are_those_of_all_differences() -> None:
    real, fake = clusters(230, seed=0), 0.9 * clusters(120, seed=1) + 0.1 * clusters(120, seed=2)
    assert_same(precision_recall(real, fake, neighbours=3), ball_counts(real, fake, k=3))


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_last_tile_of_one_row_finds_the_same_neighbours(monkeypatch: pytest.MonkeyPatch, dimension: int) -> None:
    monkeypatch.setattr("lightning_gan.metrics.pairwise_distances.TILE_ELEMENTS", 100)
    points = normal(51, dimension, seed=0)
    found = PairwiseDistances(points, points).kth_nearest(3, elsewhere=True).distance
    torch.testing.assert_close(found, distances_elsewhere(points).kthvalue(3, dim=1).values, rtol=1e-12, atol=0)


def test_products_in_float64_decide_between_dense_clusters_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PairwiseDistances, "_from_products", refused)
    precision_recall(SETS["normal"], SETS["far away"][:100] - 3000, neighbours=3)
    with pytest.raises(AssertionError):
        precision_recall(clusters(230, seed=0), clusters(120, seed=1), neighbours=3)


@pytest.mark.usefixtures("_rounded_products")
def test_settings_of_precision_do_not_reach_the_distances() -> None:
    # bf16's products lose the distances within a cluster, and those of fp32 do not.
    real, fake = clusters(230, seed=0, apart=100), clusters(120, seed=1, apart=100)
    distance = PairwiseDistances(real, real).kth_nearest(3, elsewhere=True).distance
    torch.testing.assert_close(distance, distances_elsewhere(real).kthvalue(3, dim=1).values, rtol=1e-12, atol=0)
    assert_same(precision_recall(real, fake, neighbours=3), ball_counts(real, fake, k=3))


def test_of_equal_distances_the_first_place_comes_first() -> None:
    line = tensor([[0.0], [2.0], [1.0], [1.0], [3.0], [-1.0]])
    assert PairwiseDistances(line, line).kth_nearest(1, elsewhere=True).place.tolist() == [2, 2, 3, 2, 1, 0]


def test_moving_scaling_and_shuffling_change_no_count() -> None:
    real, fake = normal(150, 64, seed=0), 0.9 * normal(120, 64, seed=1)
    counts = precision_recall(real, fake)
    assert precision_recall(2.0**40 * real, 2.0**40 * fake) == counts
    assert precision_recall(real + 64, fake + 64) == pytest.approx(counts, abs=0.01)  # the sum rounds the features
    assert precision_recall(real.double() + 64, fake.double() + 64) == counts
    order = torch.randperm(150, generator=torch.Generator().manual_seed(2))
    assert precision_recall(real[order], fake.flip(0)) == counts
    assert precision_recall(real.flip(1), fake.flip(1)) == counts
