"""Whether generated images are copies of training images: they are then nearer to these than held-out images are.

For equally many training and held-out images of the same distribution, a generator that has learned the distribution
makes images whose nearest real neighbour is a training image in half of all cases. The test statistic is the one of
Meehan et al. 2020 (arXiv:2004.05675), over the whole space and with a sign test in place of ranks.
"""

import math
from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from lightning_gan.metrics.feature_set import FakeFeatures
from lightning_gan.metrics.pairwise_distances import PairwiseDistances
from lightning_gan.tensors.shapes import Features


class Memorization(NamedTuple):
    """The share of fakes that are nearer to a training image than to a held-out one, and what it says.

    Attributes:
        nearer_to_training: share of the fakes, one half if nothing is memorized; ties count one half.
        standard_error: standard deviation of this share for a generator that memorizes nothing.
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
    return nearest.index, nearest.distance


def memorization(fake: FakeFeatures, training: Features, held_out: Features) -> Memorization:
    """Returns how many fakes are nearer to a training image than to a held-out image.

    Args:
        fake: features of fakes.
        training: features of images that the generator was trained on.
        held_out: features of as many real images that it was not trained on.

    Raises:
        ValueError: if there are not equally many training and held-out images.
    """
    if len(training) != len(held_out):
        raise ValueError(
            f"{len(training)} training and {len(held_out)} held-out images: with more of one kind, its images are "
            "nearer by chance; give equally many"
        )
    to_training, to_held_out = (nearest_images(fake, among)[1] for among in (training, held_out))
    nearer = ((to_training < to_held_out).double() + 0.5 * (to_training == to_held_out).double()).mean().item()
    error = 0.5 / math.sqrt(len(fake))
    return Memorization(nearer_to_training=nearer, standard_error=error, z_score=(nearer - 0.5) / error)
