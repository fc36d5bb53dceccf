"""The variational discriminator bottleneck: the critic may know only so much about an image.

Peng et al. 2019, arXiv:1810.00821.
"""

from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import PerSample, Scalar


def kl_to_standard_normal(
    mean: Float[Tensor, "batch code *positions"], log_variance: Float[Tensor, "batch code *positions"]
) -> PerSample:
    """``KL(N(mean, variance) || N(0, I))`` in nats, summed over the code's dimensions, in fp32.

    Of a map that has a code at every position, the mean over positions, as in the authors' code.

    Example:
        >>> import torch
        >>> kl_to_standard_normal(torch.tensor([[1.0]]), torch.tensor([[0.0]])).item()
        0.5
    """
    mean, log_variance = full_precision(mean), full_precision(log_variance)
    of_positions = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(dim=1)  # batch *positions
    return of_positions.flatten(1).mean(dim=1) if of_positions.dim() > 1 else of_positions


def dual_ascent(beta: Scalar, kl: Scalar, *, information_constraint: float, step_size: float) -> Scalar:
    """``max(0, beta + step_size (KL - I_c))``: the price of information rises while too much of it flows.

    Args:
        beta: the multiplier so far.
        kl: averaged over the batch, real and fake.
        information_constraint: I_c in nats.
        step_size: alpha_beta.
    """
    return (beta + step_size * (kl - information_constraint)).clamp(min=0.0)
