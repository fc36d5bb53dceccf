"""Small GANs on mixtures: the data, the measure, and that training finds modes."""

import math

import pytest
import torch

from lightning_gan.dynamics.mixtures import (
    MIXTURES,
    RING,
    Mixture,
    MixtureBatches,
    compare,
    contenders,
    coverage,
    table,
    train,
)


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda mixture: mixture.name)
def test_true_samples_cover_every_mode(mixture: Mixture) -> None:
    points = mixture.draw(4000, seed=0)
    assert points.shape == (4000, 2, 1, 1)
    modes, share = coverage(points.flatten(1), mixture)
    assert modes == len(mixture.centres)
    assert share == pytest.approx(1 - math.exp(-4.5), abs=0.005)  # within three deviations, in the plane


def test_a_collapsed_generator_finds_one_mode() -> None:
    assert coverage(torch.tensor([[1.0, 0.0]] * 10), RING) == (1, 1.0)
    assert coverage(torch.zeros(10, 2), RING) == (0, 0.0)


def test_batches_are_a_function_of_the_seed() -> None:
    first, again, other = (next(iter(MixtureBatches(RING, seed=seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.slow
def test_a_short_training_finds_the_ring() -> None:
    outcome = train(RING, contenders()[2], batches=400, seed=0)
    assert outcome.modes_found == 8
    assert outcome.high_quality > 0.4
    assert outcome.samples.shape == (2500, 2)


@pytest.mark.slow
def test_every_contender_is_compared_on_every_mixture_in_order() -> None:
    outcomes = compare(MIXTURES, seed=0, share_of_batches=0.001)
    names = [contender.name for contender in contenders()]
    assert [(outcome.mixture, outcome.regularizer) for outcome in outcomes] == [
        (mixture, name) for mixture in MIXTURES for name in names
    ]
    assert len(table(outcomes).splitlines()) == 2 + len(outcomes)
