"""Factors on learning rates, at their corners."""

import math

import pytest

from lightning_gan.schedules.rates import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    GaussianRampUp,
    LearningRateSchedule,
    LinearDecay,
    RampUp,
)


def test_a_constant_is_constant() -> None:
    assert [Constant().at(seen) for seen in (0, 10**7)] == [1, 1]
    assert Constant(factor=0.25).at(5) == 0.25


def test_a_ramp_rises_from_zero_to_one_and_stays() -> None:
    ramp = RampUp(kimg=40.0)
    assert [ramp.at(seen) for seen in (0, 10_000, 40_000, 10**7)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize("kimg", [0.0, -1.0, float("nan")])
def test_a_ramp_has_a_length(kimg: float) -> None:
    for ramp in (RampUp, GaussianRampUp):
        with pytest.raises(ValueError, match=f"{ramp.__name__}: kimg={kimg} must be positive"):
            ramp(kimg=kimg)


def test_a_gaussian_ramp_rises_along_half_a_bell_curve_and_stays() -> None:
    """``exp(-5 (1 - t)^2)``, by hand at t = 0, 1/2 and 1; the ramp of PGGAN's Theano code."""
    ramp = GaussianRampUp(kimg=40.0)
    factors = [ramp.at(seen) for seen in (0, 20_000, 40_000, 10**7)]
    assert factors == pytest.approx([0.006737947, 0.286504797, 1, 1])
    rising = [ramp.at(seen) for seen in range(0, 40_001, 1000)]
    assert rising == sorted(set(rising))
    # A bell curve's logarithm is a parabola: its second differences are equal.
    logarithms = [math.log(factor) for factor in rising]
    second = [a - 2 * b + c for a, b, c in zip(logarithms, logarithms[1:], logarithms[2:], strict=False)]
    assert second == pytest.approx([-10 / 40**2] * len(second))


def test_a_linear_decay_holds_falls_and_ends() -> None:
    decay = LinearDecay(start_kimg=10.0, end_kimg=20.0)
    assert [decay.at(seen) for seen in (0, 10_000, 12_500, 20_000, 10**7)] == [1, 1, 0.75, 0, 0]
    assert LinearDecay(end_kimg=20.0, final_factor=0.5).at(10_000) == 0.75


def test_a_cosine_decay_is_flat_at_both_ends_and_half_in_the_middle() -> None:
    decay = CosineDecay(start_kimg=10.0, end_kimg=20.0)
    assert [decay.at(seen) for seen in (0, 10_000, 15_000, 20_000, 10**7)] == pytest.approx([1, 1, 0.5, 0, 0])
    assert decay.at(12_500) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert CosineDecay(end_kimg=1.0, final_factor=0.1).at(10**7) == pytest.approx(0.1)


def test_an_exponential_decay_loses_the_same_share_in_equal_times() -> None:
    decay = ExponentialDecay(start_kimg=10.0, end_kimg=30.0, final_factor=0.01)
    assert [decay.at(seen) for seen in (0, 10_000, 20_000, 30_000, 10**7)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])
    shares = [decay.at(seen + 2000) / decay.at(seen) for seen in (10_000, 15_000, 28_000)]
    assert shares == pytest.approx([0.01**0.1] * 3)


@pytest.mark.parametrize(
    "schedule", [LinearDecay(start_kimg=1.0, end_kimg=3.0), CosineDecay(start_kimg=1.0, end_kimg=3.0)]
)
def test_decays_never_rise(schedule: LearningRateSchedule) -> None:
    factors = [schedule.at(seen) for seen in range(0, 4000, 50)]
    assert factors == sorted(factors, reverse=True) and factors[0] == 1 and factors[-1] == 0


def test_impossible_spans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"end_kimg=1.0 must come after start_kimg=2.0"):
        LinearDecay(start_kimg=2.0, end_kimg=1.0)
    with pytest.raises(ValueError, match=r"end_kimg=0.0"):
        CosineDecay(end_kimg=0.0)
    with pytest.raises(ValueError, match=r"end_kimg=1.0 must come after start_kimg=1.0"):
        ExponentialDecay(start_kimg=1.0, end_kimg=1.0)
    with pytest.raises(ValueError, match=r"final_factor=0.0 must be positive"):
        ExponentialDecay(end_kimg=1.0, final_factor=0.0)
    with pytest.raises(ValueError, match=r"RampUp: kimg=0"):
        RampUp(kimg=0.0)
    with pytest.raises(ValueError, match=r"GaussianRampUp: kimg=0"):
        GaussianRampUp(kimg=0.0)
