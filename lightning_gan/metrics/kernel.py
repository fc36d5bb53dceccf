"""Kernel distance, which is KID with Inception's features (Bińkowski et al. 2018, arXiv:1801.01401).

It is the unbiased estimate of the squared maximum mean discrepancy with the kernel ``k(x, y) = (x . y / d + 1)^3``.
Unlike the Fréchet distance, its expectation does not depend on the number of samples; the estimate may be negative.

The products ``x . y`` of features in fp32 are calculated in fp32, around the features' centre. All else, and products
of float64 features, are in float64.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lightning_gan.metrics.centred_features import Centred, centred, fp32_products
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.shapes import Scalar

BLOCK_ELEMENTS = 2**21
"""Number of the kernel's values in memory at a time: 16 MiB."""


def _kernel_blocks(
    first: Tensor, second: Tensor, around: Centred, *, symmetric: bool
) -> Iterator[tuple[slice, Tensor]]:
    """Yields blocks of rows of the kernel in float64; if symmetric, with 0 on and below the diagonal.

    For ``x = c + s u`` and ``y = c + s v``, ``x . y = s^2 u . v + p(u) + p(v)`` with ``p(u) = c . (c / 2 + s u)``.

    Args:
        first: features ``u``.
        second: features ``v``.
        around: their centre and scale.
        symmetric: whether both are the same, so that all else is equal to what is above the diagonal.
    """
    centre, length = around.centre.double(), first.shape[1]
    height = max(1, BLOCK_ELEMENTS // len(second))

    def parts(features: Tensor) -> Tensor:
        products = torch.cat([some.double() @ centre for some in torch.split(features, height)])
        return (centre.square().sum() / 2 + around.scale * products) / length + 0.5

    rows, columns = parts(first)[:, None], parts(second)
    for start in range(0, len(first), height):
        block, among = slice(start, start + height), slice(start if symmetric else 0, None)
        with fp32_products(first.device):
            products = first[block] @ second[among].T
        similarity = products.double().mul_(around.scale**2 / length).add_(rows[block]).add_(columns[among])
        kernel = similarity.pow_(3)
        yield block, kernel.triu_(1) if symmetric else kernel


def _discrepancies(
    real: RealFeatures,
    fake: FakeFeatures,
    of_real: Float64[Tensor, "reals subsets"],
    of_fake: Float64[Tensor, "fakes subsets"],
) -> Float64[Tensor, " subsets"]:
    """Returns the squared discrepancies of subsets, from one product of all samples.

    Args:
        real: features of real images.
        fake: features of fakes.
        of_real: 1 where a real image is in a subset, else 0.
        of_fake: 1 where a fake is in a subset, else 0.
    """
    around = centred(real, fake, dtype=torch.promote_types(torch.promote_types(real.dtype, fake.dtype), torch.float32))
    result = torch.zeros_like(of_real[0])
    for features, members in ((around.first, of_real), (around.second, of_fake)):
        for block, kernel in _kernel_blocks(features, features, around, symmetric=True):
            pairs = (members[block] * (kernel @ members[block.start :])).sum(0)
            result += 2 * pairs / (members.sum(0) * (members.sum(0) - 1))
    for block, kernel in _kernel_blocks(around.first, around.second, around, symmetric=False):
        result -= 2 * (of_real[block] * (kernel @ of_fake)).sum(0) / (of_real.sum(0) * of_fake.sum(0))
    return result


def squared_discrepancy(real: RealFeatures, fake: FakeFeatures) -> Scalar:
    """Returns the unbiased squared maximum mean discrepancy of two sets with the cubic kernel, a float64 scalar.

    Example:
        >>> squared_discrepancy(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])).item()
        9.5
    """
    of_real, of_fake = (features.new_ones(len(features), 1, dtype=torch.float64) for features in (real, fake))
    return _discrepancies(real, fake, of_real, of_fake)[0]


def kernel_distances(
    real: RealFeatures, fake: FakeFeatures, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> Float[Tensor, " subsets"]:
    """Returns the squared discrepancies of random subsets of both sets, `[subsets]` in float64; KID is their mean.

    Args:
        real: features of real images.
        fake: features of fakes.
        subsets: number of subsets.
        subset_size: number of samples in each subset, drawn without replacement; at least 2.
        seed: seed of the subsets.

    Raises:
        ValueError: if a set is smaller than `subset_size`, or `subset_size` below 2.
    """
    smaller = min(len(real), len(fake))
    if not 2 <= subset_size <= smaller:
        raise ValueError(f"subset_size={subset_size} must lie between 2 and the smaller set's {smaller} samples")
    generator = torch.Generator().manual_seed(seed)

    def places(features: Tensor) -> Tensor:
        return torch.randperm(len(features), generator=generator)[:subset_size].to(features.device)

    chosen = [(places(real), places(fake)) for _ in range(subsets)]
    # The fewer products are calculated: those between all samples, or those within each subset.
    if (len(real) + len(fake)) ** 2 > subsets * (2 * subset_size) ** 2:
        return torch.stack([squared_discrepancy(real[one], fake[other]) for one, other in chosen])
    of_real, of_fake = (features.new_zeros(len(features), subsets, dtype=torch.float64) for features in (real, fake))
    for subset, (one, other) in enumerate(chosen):
        of_real[one, subset] = of_fake[other, subset] = 1
    return _discrepancies(real, fake, of_real, of_fake)
