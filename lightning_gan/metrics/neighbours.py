"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797) of generated images.

Kynkäänniemi et al. (2019) introduced the first two, Naeem et al. (2020) the others. All four ask which samples lie in
balls around other samples, a ball reaching to its centre's k-th nearest neighbour of the same set. They need the
distances of all pairs, but never hold all of them at once: rows are visited in blocks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.shapes import Features, PerSample

BLOCK_ELEMENTS = 2**24
"""Distances held at once: 128 MiB."""


class PrecisionRecall(NamedTuple):
    """Fidelity (precision, density) and variety (recall, coverage) of fakes; all but density in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def distances_in_blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows, each with its distances `[rows, columns]`."""
    height = max(1, BLOCK_ELEMENTS // len(columns))
    squared_norms = columns.square().sum(1)
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        squares = block.square().sum(1, keepdim=True) + squared_norms - 2 * block @ columns.T
        yield slice(start, start + len(block)), squares.clamp(min=0).sqrt()


def neighbour_radii(features: Features, *, neighbours: int) -> PerSample:
    """Distance of every sample to its k-th nearest other sample."""
    radii = features.new_empty(len(features))
    for rows, distances in distances_in_blocks(features, features):
        # A sample is not its own neighbour, and rounding may put others nearer than itself: leave it out by its place.
        distances[:, rows].fill_diagonal_(torch.inf)
        radii[rows] = distances.kthvalue(neighbours, dim=1).values
    return radii


def precision_recall(real: RealFeatures, fake: FakeFeatures, *, neighbours: int = 3) -> PrecisionRecall:
    """The four numbers of two sets of features, in float64.

    A sample on the surface of a ball is in it for precision and recall (`<=`, as in the authors' code), and is not for
    density and coverage (`<`, as in theirs). For k neighbours and N reals and M fakes of the same distribution, the
    expected density is 1 and the expected coverage ``1 - prod_{i=1..k} (N - i) / (N + M - i)``, 0.875 for k = 3.

    Raises:
        ValueError: if a set has no more than `neighbours` samples.

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
    # Distances are differences of large squares: float32 would lose the small ones.
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
