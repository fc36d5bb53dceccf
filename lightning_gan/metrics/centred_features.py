"""Two sets of features around their common centre, so that products in fp32 lose little.

The rounding of a product ``x . y`` is relative to ``|x| |y|``. Without their centre, features are as short as they can
be for this. Squared distances do not change by it; for other products the centre is added again in float64.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.precision import full_precision, unrounded_fp32


class Centred(NamedTuple):
    """Features ``(x - centre) / scale`` of two sets, with absolute values up to about 1.

    Attributes:
        first: features of the first set.
        second: features of the second set.
        centre: what was subtracted, `[features]`: about the mean of the two sets' means.
        scale: a power of 2, so that the division is exact.
    """

    first: Tensor
    second: Tensor
    centre: Tensor
    scale: float


def centred(first: RealFeatures, second: FakeFeatures, *, dtype: torch.dtype) -> Centred:
    """Returns the features of two sets around their common centre.

    Args:
        first: features of one set.
        second: features of another set, or the same tensor.
        dtype: type of the centred features.
    """
    sets = (first,) if second is first else (first, second)
    centre = full_precision(torch.stack([features.mean(0) for features in sets]).mean(0))
    ends = torch.stack([end for features in sets for end in (features.amin(0), features.amax(0))])
    scale = 2.0 ** torch.frexp((ends - centre).abs().max()).exponent.item()

    def around(features: Tensor) -> Tensor:
        return (features - centre).div_(scale).to(dtype)

    all_around = [around(features) for features in sets]
    return Centred(all_around[0], all_around[-1], centre, scale)


@contextmanager
def fp32_products(device: torch.device) -> Iterator[None]:
    """Inside the context, products of fp32 tensors are fp32's, whatever autocast and the backends' settings say."""
    with unrounded_fp32(), torch.autocast(device.type, enabled=False):
        yield
