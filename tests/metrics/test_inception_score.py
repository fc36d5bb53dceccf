"""The Inception Score: its closed forms, its splits, and torch-fidelity's number for the same logits."""

import math

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from lightning_gan.metrics import inception_score
from lightning_gan.metrics.inception_score import score_of_split


def logits_of(shares: torch.Tensor) -> torch.Tensor:
    """Logits whose softmax are these shares."""
    return shares.double().log()


def test_closed_forms() -> None:
    sure = torch.eye(10).clamp(min=1e-30)
    assert score_of_split(logits_of(sure[:1].repeat(6, 1))).item() == pytest.approx(1, rel=1e-12)
    assert score_of_split(logits_of(sure)).item() == pytest.approx(10, rel=1e-9)
    unequal = sure[[0, 0, 1, 2]]  # exp of the entropy of (1/2, 1/4, 1/4)
    assert score_of_split(logits_of(unequal)).item() == pytest.approx(2.82842712, rel=1e-8)
    unsure = 0.9 * torch.eye(10, dtype=torch.float64) + 0.1 / 10
    assert score_of_split(logits_of(unsure)).item() == pytest.approx(6.06355983, rel=1e-8)


def test_impossible_classes_count_nothing() -> None:
    logits = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]])
    assert score_of_split(torch.cat([logits, logits]).clamp(min=-1e4)).item() == pytest.approx(2)


def test_splits_are_consecutive_and_the_deviation_is_that_of_a_population() -> None:
    logits = torch.cat([torch.zeros(3, 4), 1000 * torch.eye(4)])  # 3 images of score 1, and 4 of score 4
    assert inception_score(logits, splits=2) == (pytest.approx(2.5), pytest.approx(1.5))
    scores = [score_of_split(logits[start:end]).item() for start, end in ((0, 2), (2, 4), (4, 7))]
    mean, deviation = inception_score(logits, splits=3)
    assert mean == pytest.approx(sum(scores) / 3)
    assert deviation == pytest.approx(math.sqrt(sum((score - mean) ** 2 for score in scores) / 3))


def test_torch_fidelity_has_the_same_number() -> None:
    logits = 3 * torch.randn(500, 1008, generator=torch.Generator().manual_seed(1))
    theirs = isc_features_to_metric(logits, splits=10, shuffle=False)
    ours = inception_score(logits, splits=10)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert ours.deviation == pytest.approx(theirs["inception_score_std"], rel=1e-9)


def test_it_does_not_change_if_a_number_is_added_to_the_logits_of_an_image() -> None:
    logits = torch.randn(40, 7)
    assert inception_score(logits + torch.randn(40, 1).mul(50)) == pytest.approx(inception_score(logits), rel=1e-4)


@pytest.mark.parametrize("splits", [0, 6])
def test_too_many_splits_are_refused(splits: int) -> None:
    with pytest.raises(ValueError, match=rf"splits={splits} must be at least 1, and at most .* which is 5"):
        inception_score(torch.randn(5, 3), splits=splits)
