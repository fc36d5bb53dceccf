"""Standard errors of any number that is computed from a set of images: the jackknife over groups of images.

The number is computed again without each of ten groups of images. Its standard error follows from how much these
numbers differ (Efron and Stein 1981; "delete-a-group jackknife"). It says how another draw of as many images would
change the number, and nothing about how another training would.

Which group an image is in does not depend on the order of the images, because images are often in an order: generated
ones have the classes 0, 1, ..., K-1, 0, 1, ... in turn, and those of a folder one class after the other. Groups that
follow such an order lack whole classes, and the distances without them say nothing.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures
from lightning_gan.tensors.seeds import derived_seed

GROUPS = 10


def groups_of_images(
    count: int, *, groups: int = GROUPS, classes: Int[Tensor, " count"] | None = None
) -> Int64[Tensor, " count"]:
    """Returns the group of each image. The groups are of equal size, drawn at random, and always the same.

    With classes, each group has as many images of a class as any other, or one more or less. The error is then that of
    samples whose numbers of images per class are given, as they are for fakes of asked classes.

    Args:
        count: number of images.
        groups: number of groups.
        classes: class of each image; None if the number of images of a class is by chance.

    Example:
        >>> groups_of_images(12, groups=3, classes=torch.arange(12) % 4).reshape(3, 4).sort(dim=0).values.tolist()
        [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]]
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(0, "jackknife")))
    if classes is not None:
        order = order[classes.cpu()[order].argsort(stable=True)]
    found = torch.empty(count, dtype=torch.int64)
    found[order] = torch.arange(count) % groups
    return found


def jackknife_error(
    number_of: Callable[[FakeFeatures], float],
    fake: FakeFeatures,
    *,
    groups: int = GROUPS,
    classes: Int[Tensor, " fakes"] | None = None,
) -> float:
    """Returns the standard error of ``number_of(fake)`` by leaving out each of the groups of images in turn.

    For a mean of independent values, and groups of one image, the result is the standard error of a mean.

    Args:
        number_of: function from features of images to a number, which does not depend on their order.
        fake: features of the images.
        groups: number of groups, from 2 to the number of images.
        classes: class that each image was made for; None if they were not made for classes.

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
    places = groups_of_images(len(fake), groups=groups, classes=classes).to(fake.device)
    numbers = torch.tensor([number_of(fake[places != group]) for group in range(groups)], dtype=torch.float64)
    return jackknife_of(numbers)


def jackknife_of(numbers: Float64[Tensor, " groups"]) -> float:
    """Returns the standard error of a number from what it is without each of the groups of equal size."""
    groups = len(numbers)
    return math.sqrt((groups - 1) / groups * (numbers - numbers.mean()).square().sum().item())
