"""Whether generated images are copies of training images: they are then nearer to these than held-out images are.

For equally many training and held-out images of the same distribution, a generator that has learned the distribution
makes images whose nearest real neighbour is a training image in half of all cases. More is memorization; the idea is
that of Meehan et al. 2020 (arXiv:2004.05675), with the shares of nearest neighbours in place of ranks of distances.
"""

import math
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures
from lightning_gan.metrics.pairwise_distances import PairwiseDistances
from lightning_gan.tensors.shapes import Features

HeldOutFeatures: TypeAlias = Float[Tensor, "held_out features"]
"""One feature vector per real image that the generator was not trained on."""


class Memorization(NamedTuple):
    """The share of fakes that are nearer to a training image than to any held-out one, and what it says.

    Attributes:
        nearer_to_training: share of the fakes, one half if nothing is memorized.
        standard_error: standard deviation of this share if training and held-out images changed places at random.
        z_score: distance from one half in standard errors; above 3, training images are likely memorized.
    """

    nearer_to_training: float
    standard_error: float
    z_score: float


def nearest_images(images: FakeFeatures, among: Features) -> tuple[Int64[Tensor, " fakes"], Tensor]:
    """Returns the index of the nearest image for each image, and its distance in float64.

    Args:
        images: features of the images whose neighbours are looked for.
        among: features of the images that are looked through.
    """
    nearest = PairwiseDistances(images, among).kth_nearest(1, elsewhere=False)
    return nearest.place, nearest.distance


def memorization(fake: FakeFeatures, training: Features, held_out: HeldOutFeatures) -> Memorization:
    """Returns how many fakes are nearer to a training image than to every held-out image.

    Several fakes may share a nearest image, so that they are not independent. The standard error is that of the same
    fakes and images with random labels "training" and "held out", half of each, which is a known number.

    Args:
        fake: features of fakes.
        training: features of images that the generator was trained on.
        held_out: features of as many real images that it was not trained on.

    Raises:
        ValueError: if there are not equally many training and held-out images, or none.
    """
    if len(training) != len(held_out) or not len(training):
        raise ValueError(
            f"{len(training)} training and {len(held_out)} held-out images: with more of one kind, its images are "
            "nearer by chance; give equally many"
        )
    index, _ = nearest_images(fake, torch.cat([training, held_out]))
    nearer = (index < len(training)).double().mean().item()
    images = 2 * len(training)
    shares = index.bincount(minlength=images).double() / len(fake)
    # The variance of a sum of `shares` over half of the images, drawn without replacement.
    variance = (shares - shares.mean()).square().sum().item() / 4 * images / (images - 1)
    error = math.sqrt(variance)
    return Memorization(
        nearer_to_training=nearer,
        standard_error=error,
        z_score=(nearer - 0.5) / error if error > 0 else 0.0,
    )
