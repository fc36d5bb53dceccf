"""Kernel distance, which is KID with Inception's features (Bińkowski et al. 2018, arXiv:1801.01401).

It is the unbiased estimate of the squared maximum mean discrepancy with the kernel ``k(x, y) = (x . y / d + 1)^3``.
Unlike the Fréchet distance, its expectation does not depend on the number of samples; the estimate may be negative.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.tensors.shapes import Features, Scalar


def _kernel_sum(first: Tensor, second: Tensor) -> Scalar:
    similarity = first @ second.T / first.shape[1] + 1
    return (similarity * similarity * similarity).sum()


def _distinct_pairs_mean(features: Features) -> Scalar:
    """Returns the mean of the kernel over all pairs of different samples."""
    count = len(features)
    itself = (features.square().sum(1) / features.shape[1] + 1).pow(3).sum()
    return (_kernel_sum(features, features) - itself) / (count * (count - 1))


def squared_discrepancy(real: RealFeatures, fake: FakeFeatures) -> Scalar:
    """Returns the unbiased squared maximum mean discrepancy of two sets with the cubic kernel, in float64.

    Example:
        >>> squared_discrepancy(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])).item()
        9.5
    """
    real, fake = real.double(), fake.double()
    between = _kernel_sum(real, fake) / (len(real) * len(fake))
    return _distinct_pairs_mean(real) + _distinct_pairs_mean(fake) - 2 * between


def kernel_distances(
    real: RealFeatures, fake: FakeFeatures, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> Float[Tensor, " subsets"]:
    """Returns the squared discrepancies of random subsets of both sets, `[subsets]`; KID is their mean.

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

    def subset(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:subset_size].to(features.device)]

    return torch.stack([squared_discrepancy(subset(real), subset(fake)) for _ in range(subsets)])
