"""A policy's mean return, its confidence interval, and its normalised score in comparison with an expert."""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

_NORMAL_QUANTILE = 1.959963984540054
"""2.5 % of a standard normal distribution lie above this number."""

_FEW = {1: 12.706, 2: 4.303, 3: 3.182}
"""Student's quantiles by degrees of freedom, for the few for which the series below is not exact enough."""


def student_quantile(degrees: int) -> float:
    """Returns the 97.5 % quantile of Student's t distribution.

    From four degrees of freedom on it is Fisher's series in 1/degrees (Abramowitz & Stegun 1964, eq. 26.7.5), whose
    error is less than 0.001. For one to three degrees it comes from a table.

    Args:
        degrees: number of degrees of freedom, at least 1.

    Example:
        >>> round(student_quantile(9), 3), round(student_quantile(99), 3)
        (2.262, 1.984)
    """
    if degrees in _FEW:
        return _FEW[degrees]
    x = _NORMAL_QUANTILE
    terms: tuple[float, ...] = (
        x,
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


class MeanReturn(NamedTuple):
    """A mean return over episodes, and the half-width of its 95 % confidence interval (NaN for a single episode)."""

    mean: float
    interval: float


def mean_return(returns: Float[Tensor, " episodes"]) -> MeanReturn:
    """Returns the mean of independent episodes' returns, with Student's 95 % confidence interval.

    The interval is exact if the returns are normally distributed. For other distributions it is a good approximation
    from a few dozen episodes on, by the central limit theorem.

    Example:
        >>> import torch
        >>> mean_return(torch.tensor([1.0, 3.0]))
        MeanReturn(mean=2.0, interval=12.706)
    """
    returns, episodes = returns.double(), len(returns)
    if episodes < 2:
        return MeanReturn(returns.mean().item(), math.nan)
    error = returns.std().item() / math.sqrt(episodes)
    return MeanReturn(returns.mean().item(), student_quantile(episodes - 1) * error)


def normalised_score(mean: float, *, random: float, expert: float) -> float:
    """Returns ``(mean - random) / (expert - random)``: 0 is a random policy's score and 1 the expert's.

    Args:
        mean: mean return of the policy.
        random: mean return of a random policy.
        expert: mean return of the expert; if it equals `random`, the score is NaN.

    Example:
        >>> normalised_score(75.0, random=50.0, expert=100.0)
        0.5
    """
    return math.nan if expert == random else (mean - random) / (expert - random)
