"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797) of generated images.

Kynkäänniemi et al. (2019) introduced the first two, Naeem et al. (2020) the others. All four count samples in balls
around other samples; the radius of a ball is the distance of its centre to the k-th nearest neighbour in the same set.
The distances of all pairs are computed in blocks of rows, so that they are never all in memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.shapes import Features, PerSample

BLOCK_ELEMENTS = 2**24
"""Number of distances in memory at a time: 128 MiB."""


class PrecisionRecall(NamedTuple):
    """Fidelity (precision, density) and variety (recall, coverage) of fakes; all except density are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def distances_in_blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yields the Euclidean distances `[rows, columns]` in blocks of rows.

    Args:
        rows: feature vectors.
        columns: feature vectors of the same length.
    """
    height = max(1, BLOCK_ELEMENTS // len(columns))
    squared_norms = columns.square().sum(1)
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        squares = block.square().sum(1, keepdim=True) + squared_norms - 2 * block @ columns.T
        yield slice(start, start + len(block)), squares.clamp(min=0).sqrt()


def neighbour_radii(features: Features, *, neighbours: int) -> PerSample:
    """Returns the distance of every sample to its k-th nearest other sample.

    Args:
        features: the samples' features.
        neighbours: k.
    """
    radii = features.new_empty(len(features))
    for rows, distances in distances_in_blocks(features, features):
        # A sample is not its own neighbour. It is excluded by its place, because after rounding others may be nearer.
        distances[:, rows].fill_diagonal_(torch.inf)
        radii[rows] = distances.kthvalue(neighbours, dim=1).values
    return radii


def precision_recall(real: RealFeatures, fake: FakeFeatures, *, neighbours: int = 3) -> PrecisionRecall:
    """Returns precision, recall, density and coverage of two sets of features, computed in float64.

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
        PrecisionRecall(precision=0.25, recall=1.0, density=0.5, coverage=0.5)
    """
    if neighbours < 1 or min(len(real), len(fake)) <= neighbours:
        raise ValueError(
            f"neighbours={neighbours} needs more than {neighbours} samples in both sets, and at least 1 neighbour; "
            f"there are {len(real)} reals and {len(fake)} fakes"
        )
    # In float64, because distances are differences of large squares, and float32 would lose small distances.
    real, fake = real.double(), fake.double()
    real_radii = neighbour_radii(real, neighbours=neighbours)
    fake_radii = neighbour_radii(fake, neighbours=neighbours)
    precise = recalled = balls_around_fakes = covered = 0
    for rows, distances in distances_in_blocks(real, fake):
        radii = real_radii[rows, None]
        inside = distances < radii
        balls_around_fakes += int(inside.sum())
        covered += int(inside.any(1).sum())
        recalled += int((distances <= fake_radii).any(1).sum())
    for _, distances in distances_in_blocks(fake, real):
        precise += int((distances <= real_radii).any(1).sum())
    return PrecisionRecall(
        precision=precise / len(fake),
        recall=recalled / len(real),
        density=balls_around_fakes / (neighbours * len(fake)),
        coverage=covered / len(real),
    )
