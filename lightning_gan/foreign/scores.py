"""Which part of a discriminator's output is scored: functions for the setting `scores` of penalties.

A discriminator may return its scores beside features, in a list, or one result for each of several sub-discriminators.
A function of your own is named by its import path in the same way.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def first(output: Sequence[Any]) -> Tensor:
    """The first element of the output, as in `(scores, features)`; the sum over it if it is a list, see `summed`."""
    return summed(output[0])


def second(output: Sequence[Any]) -> Tensor:
    """The second element of the output, as in `(features, scores)`; the sum over it if it is a list, see `summed`."""
    return summed(output[1])


def last(output: Sequence[Any]) -> Tensor:
    """The last element of the output, as in `[feature, ..., scores]`; the sum over it if it is a list, see `summed`."""
    return summed(output[-1])


def summed(output: Tensor | Sequence[Tensor]) -> Tensor:
    """The sum of the scores of several sub-discriminators, one number for each sample; a tensor is returned unchanged.

    The scores of one sub-discriminator are summed over its patches, whose number may differ between them.

    Args:
        output: scores `batch ...` of every sub-discriminator, or of the only one.

    Example:
        >>> summed([torch.ones(2, 3), torch.ones(2, 1, 5)]).tolist()
        [8.0, 8.0]
    """
    if isinstance(output, Tensor):
        return output
    return torch.stack([scores.flatten(1).sum(1) for scores in output]).sum(0)


def summed_last(output: Sequence[Sequence[Any]]) -> Tensor:
    """The sum of the last elements of several sub-discriminators, each of which returns `[feature, ..., scores]`."""
    return summed([own[-1] for own in output])
