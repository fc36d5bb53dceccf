"""What a policy earns: the mean return of its episodes, how sure that is, and how it compares with an expert."""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

_NORMAL_QUANTILE = 1.959963984540054
"""Of which 2.5 % of a normal distribution lie above."""

_FEW = {1: 12.706, 2: 4.303, 3: 3.182}
"""Student's quantiles for so few degrees of freedom that the series below is not exact."""


def student_quantile(degrees: int) -> float:
    """Above which 2.5 % of Student's t distribution lie.

    Fisher's series in 1/degrees (Abramowitz & Stegun 1964, eq. 26.7.5), which errs by less than 0.001 from four degrees
    of freedom on; a table below.

    Args:
        degrees: of freedom, at least 1.

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
    """A mean over episodes, and the half-width of its 95 % confidence interval: NaN for a single episode."""

    mean: float
    interval: float


def mean_return(returns: Float[Tensor, " episodes"]) -> MeanReturn:
    """The mean of independent episodes' returns, with Student's interval: right for means of normal returns, and for
    others by the central limit theorem once there are a few dozen.

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
    """0 as good as chance, 1 as good as the expert; NaN if those two are equal.

    Example:
        >>> normalised_score(75.0, random=50.0, expert=100.0)
        0.5
    """
    return math.nan if expert == random else (mean - random) / (expert - random)
