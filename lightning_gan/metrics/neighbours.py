"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797) of generated images.

Kynkäänniemi et al. (2019) introduced the first two, Naeem et al. (2020) the others. All four count samples in balls
around other samples; the radius of a ball is the distance of its centre to the k-th nearest neighbour in the same set.
The distances of each two sets are computed once, in blocks of rows, so that they are never all in memory.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.pairwise_distances import PairwiseDistances
from lightning_gan.tensors.shapes import Features


class PrecisionRecall(NamedTuple):
    """Fidelity (precision, density) and variety (recall, coverage) of fakes; all except density are in [0, 1].

    Attributes:
        precision: share of the fakes inside of a real image's ball.
        recall: share of the real images inside of a fake's ball.
        density: number of real images' balls that a fake is inside of, divided by the number of neighbours; the mean.
        coverage: share of the real images whose balls have a fake inside.
        density_error: standard error of the density: the deviation over the fakes, by the root of their number.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    density_error: float


def neighbour_radii(features: Features, *, neighbours: int) -> Float64[Tensor, " batch"]:
    """Returns the distance of every sample to its k-th nearest other sample, in float64.

    Args:
        features: the samples' features, more than k.
        neighbours: k, at least 1.
    """
    return PairwiseDistances(features, features).kth_nearest(neighbours, elsewhere=True).distance


def precision_recall(real: RealFeatures, fake: FakeFeatures, *, neighbours: int = 3) -> PrecisionRecall:
    """Returns precision, recall, density and coverage of two sets of features, exact to float64.

    A sample on the surface of a ball is inside for precision and recall (`<=`), and outside for density and coverage
    (`<`), as in the code of each paper's authors. For k neighbours, N reals and M fakes of the same distribution, the
    expected density is 1 and the expected coverage ``1 - prod_{i=1..k} (N - i) / (N + M - i)``, about 0.875 for k = 3
    and large N = M.

    Args:
        real: features of real images.
        fake: features of fakes.
        neighbours: number k of neighbours that defines a ball's radius.

    Raises:
        ValueError: if `neighbours` is less than 1, or a set has at most `neighbours` samples.

    Example:
        >>> real, fake = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([[0.5], [10.0], [11.0], [12.0]])
        >>> precision_recall(real, fake, neighbours=1)
        PrecisionRecall(precision=0.25, recall=1.0, density=0.5, coverage=0.5, density_error=0.5)
    """
    if neighbours < 1 or min(len(real), len(fake)) <= neighbours:
        raise ValueError(
            f"neighbours={neighbours} needs more than {neighbours} samples in both sets, and at least 1 neighbour; "
            f"there are {len(real)} reals and {len(fake)} fakes"
        )
    real_radii, fake_radii = (neighbour_radii(features, neighbours=neighbours) for features in (real, fake))
    balls_around = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool, device=real.device)
    for row, column, distances in PairwiseDistances(real, fake).within(real_radii, fake_radii):
        inside = distances < real_radii[row]
        balls_around += column[inside].bincount(minlength=len(fake))
        covered[row[inside]] = True
        precise[column[distances <= real_radii[row]]] = True
        recalled[row[distances <= fake_radii[column]]] = True
    # Sums of whole numbers, which are exact, so that no order of the images changes the results.
    count, in_all, squares = len(fake), int(balls_around.sum()), int(balls_around.square().sum())
    variance = (squares - in_all**2 / count) / (count - 1)
    return PrecisionRecall(
        precision=precise.double().mean().item(),
        recall=recalled.double().mean().item(),
        density=in_all / (neighbours * count),
        coverage=covered.double().mean().item(),
        density_error=math.sqrt(variance / count) / neighbours,
    )
