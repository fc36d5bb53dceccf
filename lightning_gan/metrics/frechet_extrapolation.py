"""The Fréchet distance of infinitely many images, by extrapolation (Chong and Forsyth 2020, arXiv:1911.07023).

The distance of N images is too large by about a constant divided by N. A line through the distances of several numbers
of images, over 1 / N, meets the axis where N is infinite. With Inception's features it is FID-infinity.
"""

from typing import NamedTuple

import torch

from lightning_gan.metrics.feature_set import FakeFeatures
from lightning_gan.metrics.frechet import Gaussian, frechet_distance, gaussian

POINTS = 15
"""Number of distances that the line is fitted to, as in the authors' code."""

SMALLEST_SHARE = 10
"""The smallest number of images is this part of all: 5,000 of 50,000 in the paper."""

LEAST_FAKES = 2 * SMALLEST_SHARE
"""The smallest number of fakes, of which a tenth still has a covariance."""


class Extrapolation(NamedTuple):
    """The distance at infinitely many images, with the standard error of the fit."""

    distance: float
    error: float


def frechet_at_infinity(real: Gaussian, fake: FakeFeatures, *, seed: int, points: int = POINTS) -> Extrapolation:
    """Returns the intercept of the line through the distances of `points` numbers of fakes, over ``1 / N``.

    The numbers are evenly spaced from a tenth of the fakes to all; for each, fakes are drawn without replacement. The
    distance is extrapolated in the number of fakes alone: the real images are the same for all points.

    Args:
        real: mean and covariance of the real features.
        fake: features of fakes.
        seed: seed of the drawn fakes.
        points: number of distances, at least 3.

    Raises:
        ValueError: for fewer than 20 fakes or than 3 points.
    """
    smallest = len(fake) // SMALLEST_SHARE
    if len(fake) < LEAST_FAKES or points < 3:
        raise ValueError(
            f"{len(fake)} fakes and {points} points are too few for a line; give at least {LEAST_FAKES} fakes "
            "and 3 points"
        )
    random = torch.Generator().manual_seed(seed)
    counts = torch.linspace(smallest, len(fake), points).long().tolist()
    distances = torch.stack(
        [
            frechet_distance(real, gaussian(fake[torch.randperm(len(fake), generator=random)[:count].to(fake.device)]))
            for count in counts
        ]
    ).cpu()
    return fitted_at_infinity(counts, distances.tolist())


def fitted_at_infinity(counts: list[int], distances: list[float]) -> Extrapolation:
    """Returns the intercept of the least squares line through distances over the inverse numbers of images.

    Args:
        counts: numbers of images, at least three.
        distances: the distance of each number of images.

    Example:
        >>> found = fitted_at_infinity([100, 200, 400], [3.0 + 50 / 100, 3.0 + 50 / 200, 3.0 + 50 / 400])
        >>> round(found.distance, 9), round(found.error, 9)
        (3.0, 0.0)
    """
    inverse = 1.0 / torch.tensor(counts, dtype=torch.float64)
    values = torch.tensor(distances, dtype=torch.float64)
    around = inverse - inverse.mean()
    spread = around.square().sum()
    slope = (around * values).sum() / spread
    intercept = values.mean() - slope * inverse.mean()
    rest = values - (intercept + slope * inverse)
    variance = rest.square().sum() / (len(counts) - 2) * (1 / len(counts) + inverse.mean().square() / spread)
    return Extrapolation(distance=intercept.item(), error=variance.sqrt().item())
