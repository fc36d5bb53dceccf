"""Metrics of encoders: reconstruction errors, and classification by the nearest neighbour.

BiGAN's paper (Donahue et al. 2017, arXiv:1605.09782) classifies images by their nearest neighbour in the code space.
"""

from einops import reduce
from jaxtyping import Int64
from torch import Tensor

from lightning_gan.metrics.pairwise_distances import PairwiseDistances
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Features, Images, PerSample


def squared_errors(images: Images, reconstructions: Images) -> PerSample:
    """Returns ``mean (x - G(E(x)))^2`` over the pixels of each image, for images in [-1, 1].

    Example:
        >>> import torch
        >>> squared_errors(torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])).item()
        2.0
    """
    return reduce(full_precision(images - reconstructions).square(), "batch channels height width -> batch", "mean")


def nearest_others(features: Features, among: Features) -> Int64[Tensor, " batch"]:
    """Returns, for every row of `features`, the place of the nearest row of `among` at another place.

    Distances are Euclidean and exact to float64; they are never all in memory.

    Args:
        features: rows whose neighbours are searched, as many as `among` has, or the same tensor.
        among: rows to search.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    if len(among) < 2:
        raise ValueError(f"{len(among)} images have no neighbours among each other; give 2 at least")
    return PairwiseDistances(features, among).kth_nearest(1, elsewhere=True).place


def neighbour_accuracy(features: Features, among: Features, labels: Int64[Tensor, " batch"]) -> float:
    """Returns the accuracy of 1-nearest-neighbour classification with leave-one-out, in [0, 1].

    Args:
        features: features of the images to classify.
        among: features of the same images in the same order, as neighbours: `features` itself, or other features of
            these images, such as the pixels of their reconstructions.
        labels: classes of the images.

    Example:
        >>> import torch
        >>> positions = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
        >>> neighbour_accuracy(positions, positions, torch.tensor([0, 0, 1, 0]))
        0.5
    """
    return (labels[nearest_others(features, among)] == labels).double().mean().item()
