"""Errors of reconstructions and neighbours of codes: by hand, written anew, and by invariances."""

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.metrics.encoding import nearest_others, neighbour_accuracy, squared_errors

LINE = tensor([[0.0], [1.0], [1.5], [9.0]])


def points(count: int, *, seed: int) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def test_errors_are_means_over_the_pixels_of_each_image() -> None:
    images = torch.zeros(2, 3, 2, 2)
    moved = images.clone()
    moved[1, 0, 0, 0] = 6.0
    assert squared_errors(images, moved).tolist() == [0.0, 3.0]


def test_errors_are_those_of_plain_torch() -> None:
    first, second = torch.randn(4, 2, 5, 3), torch.randn(4, 2, 5, 3)
    expected = [torch.nn.functional.mse_loss(a, b).item() for a, b in zip(first, second, strict=True)]
    assert squared_errors(first, second).tolist() == pytest.approx(expected)


def test_nobody_is_its_own_neighbour() -> None:
    assert nearest_others(LINE, LINE).tolist() == [1, 2, 1, 2]
    # The reconstruction of the last image is the image itself, which does not count.
    assert nearest_others(LINE + 0.1, LINE).tolist() == [1, 2, 1, 2]


def test_accuracy_counts_neighbours_of_the_same_class() -> None:
    assert neighbour_accuracy(LINE, LINE, tensor([0, 0, 1, 1])) == 0.5
    assert neighbour_accuracy(LINE, LINE, tensor([1, 0, 0, 0])) == 0.75


def test_it_is_a_search_through_all_pairs() -> None:
    features, among = points(40, seed=0), points(40, seed=1)
    labels = torch.arange(40) % 4
    hits = 0
    for query in range(40):
        others = [other for other in range(40) if other != query]
        nearest = min(others, key=lambda other: (features[query] - among[other]).norm().item())
        hits += int(labels[nearest] == labels[query])
    assert neighbour_accuracy(features, among, labels) == hits / 40


def test_small_blocks_give_the_same_neighbours_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    features = points(37, seed=2)
    whole = nearest_others(features, features)
    monkeypatch.setattr("lightning_gan.metrics.pairwise_distances.TILE_ELEMENTS", 100)
    assert torch.equal(nearest_others(features, features), whole)


def test_order_scale_and_place_of_the_features_do_not_matter() -> None:
    features, labels = points(30, seed=3), torch.arange(30) % 3
    order = torch.randperm(30)
    expected = neighbour_accuracy(features, features, labels)
    assert neighbour_accuracy(features[order], features[order], labels[order]) == expected
    moved = 100 * features + 5000
    assert neighbour_accuracy(moved, moved, labels) == expected


def test_two_separate_clusters_are_told_apart_and_two_mixed_ones_are_not() -> None:
    features, labels = points(400, seed=4), torch.arange(400) % 2
    apart = features + 100 * labels[:, None]
    assert neighbour_accuracy(apart, apart, labels) == 1.0
    assert neighbour_accuracy(features, features, labels) == pytest.approx(0.5, abs=0.08)


def test_a_single_image_has_no_neighbour() -> None:
    with pytest.raises(ValueError, match="1 images have no neighbours"):
        nearest_others(LINE[:1], LINE[:1])
