"""Metrics of encoders: reconstruction errors, and classification by the nearest neighbour.

BiGAN's paper (Donahue et al. 2017, arXiv:1605.09782) classifies images by their nearest neighbour in the code space.
"""

import torch
from einops import reduce
from jaxtyping import Int64
from torch import Tensor

from lightning_gan.metrics.neighbours import distances_in_blocks
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Features, Images, PerSample


def squared_errors(images: Images, reconstructions: Images) -> PerSample:
    """Returns ``mean (x - G(E(x)))^2`` over the pixels of each image, for images in [-1, 1].

    Example:
        >>> squared_errors(torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])).item()
        2.0
    """
    return reduce(full_precision(images - reconstructions).square(), "batch channels height width -> batch", "mean")


def nearest_others(features: Features, among: Features) -> Int64[Tensor, " batch"]:
    """Returns, for every row of `features`, the place of the nearest row of `among` at another place.

    Distances are Euclidean, in float64; they are computed in blocks, so that they are never all in memory.

    Args:
        features: rows whose neighbours are searched, as many as `among` has, or the same tensor.
        among: rows to search.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    if len(among) < 2:
        raise ValueError(f"{len(among)} images have no neighbours among each other; give 2 at least")
    # In float64, because distances are differences of large squares, and float32 would lose small distances.
    features, among = features.double(), among.double()
    nearest = torch.empty(len(features), dtype=torch.int64, device=features.device)
    for rows, distances in distances_in_blocks(features, among):
        distances[:, rows].fill_diagonal_(torch.inf)
        nearest[rows] = distances.argmin(dim=1)
    return nearest


def neighbour_accuracy(features: Features, among: Features, labels: Int64[Tensor, " batch"]) -> float:
    """Returns the accuracy of 1-nearest-neighbour classification with leave-one-out, in [0, 1].

    Args:
        features: features of the images to classify.
        among: features of the same images in the same order, as neighbours: `features` itself, or other features of
            these images, such as the pixels of their reconstructions.
        labels: classes of the images.

    Example:
        >>> positions = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
        >>> neighbour_accuracy(positions, positions, torch.tensor([0, 0, 1, 0]))
        0.5
    """
    return (labels[nearest_others(features, among)] == labels).double().mean().item()
