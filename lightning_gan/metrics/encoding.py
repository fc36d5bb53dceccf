"""What an encoder is measured by: how near its reconstructions are, and whether neighbours are of one class.

BiGAN's paper (Donahue et al. 2017, arXiv:1605.09782) classifies images by the nearest other one, in the space of codes.
"""

import torch
from einops import reduce
from jaxtyping import Int64
from torch import Tensor

from lightning_gan.metrics.neighbours import distances_in_blocks
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Features, Images, PerSample


def squared_errors(images: Images, reconstructions: Images) -> PerSample:
    """``mean (x - G(E(x)))^2`` over the pixels of each image, for images in [-1, 1].

    Example:
        >>> squared_errors(torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])).item()
        2.0
    """
    return reduce(full_precision(images - reconstructions).square(), "batch channels height width -> batch", "mean")


def nearest_others(features: Features, among: Features) -> Int64[Tensor, " batch"]:
    """Of every row the place of the nearest row of `among`, but for the row at its own place; in float64.

    Distances are Euclidean; they are computed in blocks, never all at once.

    Args:
        features: as many rows as `among` has, or the same tensor.
        among: where to look.

    Raises:
        ValueError: for fewer than two rows, of which none has another.
    """
    if len(among) < 2:
        raise ValueError(f"{len(among)} images have no neighbours among each other; give 2 at least")
    # Distances are differences of large squares: float32 would lose the small ones.
    features, among = features.double(), among.double()
    nearest = torch.empty(len(features), dtype=torch.int64, device=features.device)
    for rows, distances in distances_in_blocks(features, among):
        distances[:, rows].fill_diagonal_(torch.inf)
        nearest[rows] = distances.argmin(dim=1)
    return nearest


def neighbour_accuracy(features: Features, among: Features, labels: Int64[Tensor, " batch"]) -> float:
    """How many images have a nearest other image of their own class: 1-NN classification, leaving each one out.

    Args:
        features: of the images that are classified.
        among: of the images with known classes: the same ones, in the same order. `features` itself, or other features
            of these images, such as the pixels of their reconstructions.
        labels: the classes.

    Example:
        >>> positions = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
        >>> neighbour_accuracy(positions, positions, torch.tensor([0, 0, 1, 0]))
        0.5
    """
    return (labels[nearest_others(features, among)] == labels).double().mean().item()
