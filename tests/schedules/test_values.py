"""Numbers as functions of images seen, at their ends and between."""

import math

import pytest

from lightning_gan.schedules import CosineDecay
from lightning_gan.schedules.values import Cosine, Schedule, check_ends, number_at


@pytest.mark.parametrize(("first", "last"), [(0.9, 0.99), (150.0, 15.0), (0.0, 500.0)])
def test_a_cosine_is_r3gans_formula_and_then_constant(first: float, last: float) -> None:
    """``base + (1 - (1 + cos(pi t / T)) / 2) (final - base)``, as their code has it."""
    schedule = Cosine(first=first, last=last, end_kimg=20.0)
    for seen in range(0, 20_001, 2500):
        expected = first + (1 - 0.5 * (1 + math.cos(math.pi * seen / 20_000))) * (last - first)
        assert schedule.at(seen) == pytest.approx(expected)
    assert [schedule.at(seen) for seen in (0, 10_000, 20_000, 10**9)] == pytest.approx(
        [first, (first + last) / 2, last, last]
    )


def test_a_cosine_begins_where_it_is_told() -> None:
    schedule = Cosine(first=1.0, last=3.0, start_kimg=10.0, end_kimg=20.0)
    assert [schedule.at(seen) for seen in (0, 10_000, 15_000, 20_000)] == pytest.approx([1, 1, 2, 3])


def test_a_decay_is_a_cosine_from_one() -> None:
    decay, cosine = CosineDecay(end_kimg=7.0, final_factor=0.1), Cosine(first=1.0, last=0.1, end_kimg=7.0)
    assert [decay.at(seen) for seen in range(0, 8000, 500)] == [cosine.at(seen) for seen in range(0, 8000, 500)]


def test_a_plain_number_does_not_change() -> None:
    assert [number_at(3.0, seen) for seen in (0, 10**9)] == [3.0, 3.0]
    assert isinstance(Cosine(first=0.0, last=1.0, end_kimg=1.0), Schedule)


def test_both_ends_are_checked() -> None:
    check_ends("beta", Cosine(first=0.0, last=0.99, end_kimg=1.0), least=0.0, below=1.0)
    check_ends("half_life_kimg", math.inf, least=0.0)
    for value in (
        -0.1,
        1.0,
        math.nan,
        Cosine(first=0.5, last=1.0, end_kimg=1.0),
        Cosine(first=-1.0, last=0.0, end_kimg=1.0),
    ):
        with pytest.raises(ValueError, match=r"beta=.* must be at least 0 and below 1 at all times"):
            check_ends("beta", value, least=0.0, below=1.0)


def test_impossible_spans_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Cosine: end_kimg=1.0 must come after start_kimg=2.0"):
        Cosine(first=0.0, last=1.0, start_kimg=2.0, end_kimg=1.0)
    with pytest.raises(ValueError, match=r"Cosine: first=nan"):
        Cosine(first=math.nan, last=1.0, end_kimg=1.0)
