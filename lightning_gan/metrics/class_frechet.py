"""The Fréchet distance within classes: whether a conditional generator makes each class as it looks.

The distance of all images does not notice that a generator gives one class's images for another. The mean of the
distances of each class's images does (class-conditional FID; intra-FID in Miyato and Koyama 2018, arXiv:1802.05637).
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.frechet import frechet_distance, gaussian

LEAST_OF_A_CLASS = 2
"""A covariance needs two images."""


class ClassDistances(NamedTuple):
    """The mean of the classes' distances, and the class whose distance is the largest, with its distance."""

    mean: float
    worst: float
    worst_class: int


def class_frechet_distances(
    real: RealFeatures, real_classes: Int[Tensor, " reals"], fake: FakeFeatures, fake_classes: Int[Tensor, " fakes"]
) -> dict[int, float]:
    """Returns the Fréchet distance of the images of each class that the real images have, by class.

    Distances of few images are much too large, so that they can be compared only between generators with the same
    numbers of images of each class.

    Args:
        real: features of real images.
        real_classes: class of each real image.
        fake: features of fakes.
        fake_classes: class that each fake was made for.

    Raises:
        ValueError: for a class with fewer than two real images or fakes.
    """
    distances = {}
    for one in sorted(set(real_classes.tolist())):
        those, made = real[real_classes == one], fake[fake_classes == one]
        if min(len(those), len(made)) < LEAST_OF_A_CLASS:
            raise ValueError(
                f"class {one} has {len(those)} real images and {len(made)} fakes, and a distance needs two of each; "
                "use more images"
            )
        distances[int(one)] = frechet_distance(gaussian(those), gaussian(made)).item()
    return distances


def summary(distances: dict[int, float]) -> ClassDistances:
    """Returns mean and maximum of the classes' distances.

    Example:
        >>> summary({0: 1.0, 4: 3.0})
        ClassDistances(mean=2.0, worst=3.0, worst_class=4)
    """
    worst = max(distances, key=lambda one: distances[one])
    mean = torch.tensor(list(distances.values()), dtype=torch.float64).mean().item()
    return ClassDistances(mean=mean, worst=distances[worst], worst_class=worst)
