"""Standard errors of any number that is computed from a set of images: the jackknife over groups of images.

The number is computed again without each of ten groups of images. Its standard error follows from how much these
numbers differ (Efron and Stein 1981; "delete-a-group jackknife"). It says how another draw of as many images would
change the number, and nothing about how another training would.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures

GROUPS = 10


def jackknife_error(number_of: Callable[[FakeFeatures], float], fake: FakeFeatures, *, groups: int = GROUPS) -> float:
    """Returns the standard error of ``number_of(fake)`` by leaving out each of `groups` groups of images in turn.

    Group g has the images g, g + groups, g + 2 groups ... For a mean of independent values the result is the standard
    error of a mean.

    Args:
        number_of: function from features of images to a number, which does not depend on their order.
        fake: features of the images.
        groups: number of groups, from 2 to the number of images.

    Raises:
        ValueError: for a number of groups out of range.

    Example:
        >>> values = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        >>> error = jackknife_error(lambda some: some.mean().item(), values, groups=4)
        >>> round(error, 6), round((values.var() / 4).sqrt().item(), 6)
        (0.645497, 0.645497)
    """
    if not 2 <= groups <= len(fake):
        raise ValueError(f"groups={groups} must lie between 2 and the number of images, which is {len(fake)}")
    places = torch.arange(len(fake), device=fake.device) % groups
    numbers = torch.tensor([number_of(fake[places != group]) for group in range(groups)], dtype=torch.float64)
    return jackknife_of(numbers)


def jackknife_of(numbers: Float64[Tensor, " groups"]) -> float:
    """Returns the standard error of a number from what it is without each of the groups of equal size."""
    groups = len(numbers)
    return math.sqrt((groups - 1) / groups * (numbers - numbers.mean()).square().sum().item())
