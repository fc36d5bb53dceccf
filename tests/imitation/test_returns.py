"""Mean returns: Student's interval against printed tables, by its own meaning, and by hand."""

import math

import pytest
import torch

from lightning_gan.imitation.returns import MeanReturn, mean_return, normalised_score, student_quantile


@pytest.mark.parametrize(
    ("degrees", "printed"),
    # The 0.975 column of the table in NIST's handbook of statistics, section 1.3.6.7.2.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (29, 2.045), (49, 2.010), (99, 1.984)],
)
def test_the_quantile_is_that_of_printed_tables(degrees: int, printed: float) -> None:
    assert student_quantile(degrees) == pytest.approx(printed, abs=0.001)


@pytest.mark.parametrize("degrees", [4, 7, 20])
def test_2_5_percent_of_students_density_lie_above_the_quantile(degrees: int) -> None:
    """The density's integral from 0, by the trapezoidal rule."""
    t = torch.linspace(0, student_quantile(degrees), 200_001, dtype=torch.float64)
    factor = math.gamma((degrees + 1) / 2) / (math.gamma(degrees / 2) * math.sqrt(degrees * math.pi))
    density = factor * (1 + t.square() / degrees) ** (-(degrees + 1) / 2)
    assert torch.trapezoid(density, t).item() == pytest.approx(0.475, abs=3e-5)


def test_the_interval_shrinks_to_the_normal_one() -> None:
    quantiles = [student_quantile(degrees) for degrees in range(1, 500)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert student_quantile(10**6) == pytest.approx(1.96, abs=1e-4)


def test_a_mean_and_its_interval_by_hand() -> None:
    """Returns 1, 2, 3, 4, 5: deviation sqrt(2.5), standard error sqrt(0.5), four degrees of freedom."""
    mean, interval = mean_return(torch.arange(1.0, 6.0))
    assert mean == 3.0
    assert interval == pytest.approx(2.776 * math.sqrt(0.5), abs=1e-3)


def test_19_of_20_intervals_cover_the_mean() -> None:
    random = torch.Generator().manual_seed(0)
    samples = 7.0 + 2.0 * torch.randn(4000, 10, generator=random)
    covered = sum(abs(mean - 7.0) <= interval for mean, interval in map(mean_return, samples))
    # Four standard errors of a share of 4,000.
    assert covered / 4000 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_a_single_episode_has_no_interval() -> None:
    only = mean_return(torch.tensor([3.0]))
    assert only.mean == 3.0 and math.isnan(only.interval)


def test_equal_returns_are_certain() -> None:
    assert mean_return(torch.full((10,), 500.0)) == MeanReturn(500.0, 0.0)


def test_the_score_is_0_at_random_and_1_at_the_expert() -> None:
    assert normalised_score(-1200.0, random=-1200.0, expert=-150.0) == 0
    assert normalised_score(-150.0, random=-1200.0, expert=-150.0) == 1
    assert math.isnan(normalised_score(1.0, random=2.0, expert=2.0))
