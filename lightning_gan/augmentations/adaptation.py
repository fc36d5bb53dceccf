"""The controller of adaptive augmentations: how much a discriminator overfits, and how the probability follows it.

ADA (Karras et al. 2020, arXiv:2006.06676, section 3) and APA (Jiang et al. 2021, arXiv:2111.06849) have the same one.
"""

import torch

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import FakeLogits, Scalar


def mean_sign(logits: FakeLogits, *, neutral_score: float) -> Scalar:
    """The mean sign of the scores of some images, in [-1, 1], without gradient: ``E[sign(D(x) - neutral)]``.

    Of real images it is ADA's heuristic r_t and APA's lambda_r, and of generated ones it is -lambda_f.

    Args:
        logits: raw scores of real images, or of generated ones.
        neutral_score: score of an image that the discriminator takes for neither real nor generated.

    Example:
        >>> mean_sign(torch.tensor([[3.0], [0.1], [-0.2], [5.0]]), neutral_score=0.0).item()
        0.5
    """
    return torch.sign(full_precision(logits).detach() - neutral_score).mean()


def adapted(probability: Scalar, overfitting: Scalar, *, target: float, step: float) -> Scalar:
    """The probability moved by one step of the controller (Karras et al. 2020, arXiv:2006.06676, section 3).

    The authors' code, and that of APA, bounds it from below only; here it is also at most 1.

    Args:
        probability: probability p in [0, 1].
        overfitting: the heuristic, such as ``r_t = E[sign(D(x))]`` on real images, in [-1, 1].
        target: value of the heuristic at which p stays.
        step: size of the step.

    Example:
        >>> adapted(torch.tensor(0.5), torch.tensor(0.75), target=0.6, step=0.25).item()
        0.75
    """
    return (probability + torch.sign(overfitting - target) * step).clamp(0.0, 1.0)
