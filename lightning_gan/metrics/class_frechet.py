"""The Fréchet distance within classes: whether a conditional generator makes each class as it looks.

The distance of all images does not notice that a generator gives one class's images for another. The mean of the
distances of each class's images does (class-conditional FID; intra-FID in Miyato and Koyama 2018, arXiv:1802.05637).
"""

import math
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.frechet import frechet_distance, frechet_error, gaussian
from lightning_gan.metrics.jackknife import GROUPS

LEAST_OF_A_CLASS = 2
"""A covariance needs two images."""


class ClassDistances(NamedTuple):
    """The Fréchet distances of the images of each class.

    Attributes:
        mean: mean of the classes' distances.
        mean_error: standard error of the mean by the jackknife over ten groups of each class's fakes; None if a class
            has too few fakes for it.
        largest: the largest distance of a class.
        largest_class: the class that has it.
        classes: number of classes that were compared.
    """

    mean: float
    mean_error: float | None
    largest: float
    largest_class: int
    classes: int


def class_frechet_distances(
    real: RealFeatures, real_classes: Int[Tensor, " reals"], fake: FakeFeatures, fake_classes: Int[Tensor, " fakes"]
) -> ClassDistances:
    """Returns the Fréchet distances of the images of each class.

    Classes with fewer than two real images have no covariance and are left out; `classes` counts the others. Distances
    of few images are much too large, so that they can be compared only between generators with the same numbers of
    images of each class.

    Args:
        real: features of real images.
        real_classes: class of each real image.
        fake: features of fakes.
        fake_classes: class that each fake was made for.

    Raises:
        ValueError: if no class has two real images, or a class of the real images has fewer than two fakes.

    Example:
        >>> import torch
        >>> real, fake = torch.tensor([[0.0], [1.0], [5.0], [6.0]]), torch.tensor([[0.0], [1.0], [7.0], [8.0]])
        >>> classes = torch.tensor([0, 0, 1, 1])
        >>> class_frechet_distances(real, classes, fake, classes)
        ClassDistances(mean=2.0, mean_error=None, largest=4.0, largest_class=1, classes=2)
    """
    distances: dict[int, float] = {}
    errors: list[float | None] = []
    for one in sorted(set(real_classes.tolist())):
        those, made = real[real_classes == one], fake[fake_classes == one]
        if len(those) < LEAST_OF_A_CLASS:
            continue
        if len(made) < LEAST_OF_A_CLASS:
            raise ValueError(f"class {one} has {len(made)} fakes, and a distance needs two; make more fakes")
        of_real = gaussian(those)
        distances[int(one)] = frechet_distance(of_real, gaussian(made)).item()
        errors.append(frechet_error(of_real, made) if len(made) > 2 * GROUPS else None)
    if not distances:
        raise ValueError(f"none of {len(real)} real images has another one of its class; give more real images")
    largest = max(distances, key=lambda one: distances[one])
    known = [error for error in errors if error is not None]
    return ClassDistances(
        mean=math.fsum(distances.values()) / len(distances),
        mean_error=math.hypot(*known) / len(known) if len(known) == len(errors) else None,
        largest=distances[largest],
        largest_class=largest,
        classes=len(distances),
    )
