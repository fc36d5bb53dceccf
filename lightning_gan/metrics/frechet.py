"""Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv:1706.08500).

With Inception's 2,048 features it is the FID. Its estimate from finite sets is too high: for two sets of N samples of
the same standard normal distribution in d dimensions it is about ``(2 d + d (d + 1) / 2) / N`` and not 0. So distances
from different numbers of samples must not be compared; `frechet_floor` measures the bias.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lightning_gan.metrics.jackknife import GROUPS, groups_of_images, jackknife_of
from lightning_gan.tensors.shapes import Features

SMALLEST_PIVOT = 1e-9
"""Smallest pivot of a covariance, relative to its largest variance, with which Cholesky's root is used: with smaller
ones distances differ by more than 1e-9 of the variances from those of the symmetric root."""


FEATURES_PER_PRODUCT = 512
"""Number of columns of a symmetric product that are calculated at a time; what is known by symmetry is left out."""


class Gaussian(NamedTuple):
    """Mean `[features]` and covariance `[features, features]`, both float64."""

    mean: Tensor
    covariance: Tensor


def _products_with_itself(samples: Features) -> Tensor:
    """Returns ``X^T X``, the sums over the samples of the products of each two features."""
    count = samples.shape[1]
    products = samples.new_empty(count, count)
    for start in range(0, count, FEATURES_PER_PRODUCT):
        some = slice(start, start + FEATURES_PER_PRODUCT)
        block = samples[:, some].T @ samples[:, start:]
        products[some, start:], products[start:, some] = block, block.T
    return products


def _of_sums(sums: Tensor, products: Tensor, count: int) -> Gaussian:
    """Returns mean and covariance of samples from the sums of their features and of each two features' products."""
    return Gaussian(mean=sums / count, covariance=(products - sums.outer(sums) / count) / (count - 1))


def gaussian(features: Features) -> Gaussian:
    """Returns the mean and the unbiased covariance (division by N - 1) of a set of features, in float64.

    Raises:
        ValueError: if there are fewer than two samples.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 samples, but got {len(features)}; use more images")
    # In float64, because the difference of two large traces needs more digits than sums of float32 products have.
    features = features.double()
    mean = features.mean(0)
    around = features - mean
    return Gaussian(mean=mean, covariance=_products_with_itself(around) / (len(features) - 1))


def _lower_between(triangle: Tensor, covariance: Tensor) -> Tensor:
    """Returns the lower triangle of ``L^T C L`` for a lower triangle ``L``; what is above it has no meaning."""
    right, between = torch.empty_like(covariance), torch.zeros_like(covariance)
    strips = [slice(start, start + FEATURES_PER_PRODUCT) for start in range(0, len(covariance), FEATURES_PER_PRODUCT)]
    for some in strips:
        right[:, some] = covariance[:, some.start :] @ triangle[some.start :, some]
    for some in strips:
        between[some, : some.stop] = triangle[some.start :, some].T @ right[some.start :, : some.stop]
    return between


def _trace_of_root(first: Tensor, second: Tensor) -> Tensor:
    """Returns ``Tr (C1 C2)^(1/2)``, computed as ``Tr (R^T C2 R)^(1/2)`` with ``R R^T = C1``.

    This is the same number, but from a symmetric matrix, whose eigenvalues are real even if the covariances are
    rank-deficient. ``R`` is Cholesky's triangle if ``C1`` has full rank, else the symmetric root, which takes longer.
    """
    triangle, failed = torch.linalg.cholesky_ex(first)
    if not failed and triangle.diagonal().min().square() > SMALLEST_PIVOT * first.diagonal().max():
        between = _lower_between(triangle, second)
    else:
        values, vectors = torch.linalg.eigh(first)
        root = vectors * values.clamp(min=0).sqrt() @ vectors.T
        between = root @ second @ root
    trace: Tensor = torch.linalg.eigvalsh(between, UPLO="L").clamp(min=0).sqrt().sum()
    return trace


def frechet_distance(first: Gaussian, second: Gaussian) -> Tensor:
    """Returns ``|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))``, a float64 scalar.

    A distance that rounding makes negative, as between a set of features and itself, is 0.
    """
    trace_of_root = _trace_of_root(first.covariance, second.covariance)
    squared_shift = (first.mean - second.mean).square().sum()
    distance: Tensor = squared_shift + first.covariance.trace() + second.covariance.trace() - 2 * trace_of_root
    return distance.clamp(min=0)


def frechet_error(
    real: Gaussian, features: Features, *, groups: int = GROUPS, classes: Int[Tensor, " batch"] | None = None
) -> float:
    """Returns the standard error of the distance between a Gaussian and a set, by the jackknife over groups of images.

    It is `jackknife_error` of the distance, but the products of all features are calculated once.

    Args:
        real: mean and covariance of the real features.
        features: features of fakes.
        groups: number of groups, at least 2.
        classes: class that each fake was made for; None if they were not made for classes.

    Raises:
        ValueError: if fewer than two images are left without a group.
    """
    left = len(features) - -(-len(features) // groups)
    if groups < 2 or left < 2:
        raise ValueError(f"{len(features)} images are too few for the standard error over {groups} groups; use more")
    features = features.double()
    centre = features.mean(0)
    features = features - centre
    sums, products = features.sum(0), _products_with_itself(features)
    moved = Gaussian(mean=real.mean.double() - centre, covariance=real.covariance)
    places = groups_of_images(len(features), groups=groups, classes=classes).to(features.device)
    distances = []
    for group in range(groups):
        out = features[places == group]
        rest = _of_sums(sums - out.sum(0), products - _products_with_itself(out), len(features) - len(out))
        distances.append(frechet_distance(moved, rest))
    return jackknife_of(torch.stack(distances))


def frechet_floor(features: Features, *, seed: int, halvings: int = 5) -> Tensor:
    """Returns the Fréchet distance between two random halves of one set: a perfect generator's with as few samples.

    It is the mean over several halvings, because a single one may be wrong by half if features are far from Gaussian.

    Args:
        features: features of real images.
        seed: seed of the halvings.
        halvings: number of random halvings.

    Raises:
        ValueError: if there are fewer than four samples.
    """
    half = len(features) // 2
    if half < 2:
        raise ValueError(f"two halves need at least 4 samples, but there are {len(features)}; use more images")
    generator = torch.Generator().manual_seed(seed)
    features = features.double() - features.mean(0, dtype=torch.float64)
    total = _products_with_itself(features)
    distances = []
    for _ in range(halvings):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        first, second, left = torch.split(features[order], [half, half, len(features) - 2 * half])
        products = _products_with_itself(first)
        # The other half's products are what the first half and a sample left over leave of all.
        both = ((first.sum(0), products), (second.sum(0), total - products - left.T @ left))
        distances.append(frechet_distance(*(_of_sums(sums, of_two, half) for sums, of_two in both)))
    return torch.stack(distances).mean()
