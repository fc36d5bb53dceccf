"""Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv:1706.08500).

With Inception's 2,048 features it is the FID. Its estimate from finite sets is too high: for two sets of N samples of
the same standard normal distribution in d dimensions it is about ``(2 d + d (d + 1) / 2) / N`` and not 0. So distances
from different numbers of samples must not be compared; `frechet_floor` measures the bias.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import Features


class Gaussian(NamedTuple):
    """Mean `[features]` and covariance `[features, features]`, both float64."""

    mean: Tensor
    covariance: Tensor


def gaussian(features: Features) -> Gaussian:
    """Returns the mean and the unbiased covariance (division by N - 1) of a set of features, in float64.

    Raises:
        ValueError: if there are fewer than two samples.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 samples, but got {len(features)}; use more images")
    # In float64, because the difference of two large traces needs more digits than sums of float32 products have.
    features = features.double()
    return Gaussian(mean=features.mean(0), covariance=features.T.cov().reshape(features.shape[1], features.shape[1]))


def frechet_distance(first: Gaussian, second: Gaussian) -> Tensor:
    """Returns ``|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))``, a float64 scalar.

    ``Tr (C1 C2)^(1/2)`` is computed as ``Tr (R C2 R)^(1/2)`` with ``R = C1^(1/2)``. This is the same number, but from a
    symmetric matrix, whose eigenvalues are real even if the covariances are rank-deficient. A distance that rounding
    makes negative, as between a set of features and itself, is 0.
    """
    values, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace_of_root = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0).sqrt().sum()
    squared_shift = (first.mean - second.mean).square().sum()
    distance: Tensor = squared_shift + first.covariance.trace() + second.covariance.trace() - 2 * trace_of_root
    return distance.clamp(min=0)


def frechet_floor(features: Features, *, seed: int, halvings: int = 5) -> Tensor:
    """Returns the Fréchet distance between two random halves of one set: a perfect generator's with as few samples.

    It is the mean over several halvings, because a single one may be wrong by half if features are far from Gaussian.

    Args:
        features: features of real images.
        seed: seed of the halvings.
        halvings: number of random halvings.
    """
    generator = torch.Generator().manual_seed(seed)
    half = len(features) // 2
    distances = []
    for _ in range(halvings):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        first, second = features[order[:half]], features[order[half : 2 * half]]
        distances.append(frechet_distance(gaussian(first), gaussian(second)))
    return torch.stack(distances).mean()
