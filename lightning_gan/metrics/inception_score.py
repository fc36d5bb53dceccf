"""The Inception Score (Salimans et al. 2016, arXiv:1606.03498): how sure a classifier is, and of how many classes.

It is ``exp(E_x KL(p(y|x) || p(y)))``, from 1 to the number of classes. Published scores have Inception's 1,008 logits
without their bias, and are means over ten splits of 50,000 images; the score of fewer images is smaller.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from lightning_gan.tensors.shapes import Logits, Scalar


class InceptionScore(NamedTuple):
    """Mean and standard deviation of the scores of consecutive splits, as they are quoted."""

    mean: float
    deviation: float


def score_of_split(logits: Logits) -> Scalar:
    """Returns ``exp(E_x KL(p(y|x) || p(y)))`` of one set of images, a float64 scalar.

    Args:
        logits: logits of the classes, `batch classes`.

    Example:
        >>> sure = 1000.0 * torch.eye(4)
        >>> score_of_split(sure).item(), score_of_split(sure[:1].expand(8, 4)).item()
        (4.0, 1.0)
    """
    # In logarithms, so that a class that is impossible for an image (0 log 0) counts 0.
    log_shares: Float64[Tensor, "batch classes"] = logits.double().log_softmax(dim=1)
    shares = log_shares.exp()
    information = (shares * log_shares).sum(dim=1).mean() + torch.special.entr(shares.mean(dim=0)).sum()
    score: Scalar = information.exp()
    return score


def inception_score(logits: Logits, *, splits: int = 10) -> InceptionScore:
    """Returns mean and population standard deviation of the scores of `splits` consecutive parts of the images.

    Split i has the images from ``i N // splits`` up to ``(i + 1) N // splits``, as in the authors' code. Images of
    classes in a fixed order must be shuffled before.

    Args:
        logits: logits of the classes, `batch classes`.
        splits: number of splits, 10 in the literature.

    Raises:
        ValueError: for fewer images than splits, or fewer than one split.

    Example:
        >>> inception_score(1000.0 * torch.eye(4).repeat(5, 1), splits=5)
        InceptionScore(mean=4.0, deviation=0.0)
    """
    if not 1 <= splits <= len(logits):
        raise ValueError(
            f"splits={splits} must be at least 1, and at most the number of images, which is {len(logits)}"
        )
    bounds = [split * len(logits) // splits for split in range(splits + 1)]
    scores = torch.stack([score_of_split(logits[start:end]) for start, end in pairwise(bounds)])
    return InceptionScore(mean=scores.mean().item(), deviation=scores.std(correction=0).item())
