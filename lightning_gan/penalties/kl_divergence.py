"""The variational discriminator bottleneck (Peng et al. 2019, arXiv:1810.00821).

It limits the information that the discriminator receives about an image.
"""

from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import PerSample, Scalar


def kl_to_standard_normal(
    mean: Float[Tensor, "batch code *positions"], log_variance: Float[Tensor, "batch code *positions"]
) -> PerSample:
    """Returns ``KL(N(mean, variance) || N(0, I))`` in nats, summed over the code's dimensions, in fp32.

    If there is a code at every position of a map, the result is the mean over positions, as in the authors' code.

    Example:
        >>> import torch
        >>> kl_to_standard_normal(torch.tensor([[1.0]]), torch.tensor([[0.0]])).item()
        0.5
    """
    mean, log_variance = full_precision(mean), full_precision(log_variance)
    of_positions = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(dim=1)  # batch *positions
    return of_positions.flatten(1).mean(dim=1) if of_positions.dim() > 1 else of_positions


def dual_ascent(beta: Scalar, kl: Scalar, *, information_constraint: float, step_size: float) -> Scalar:
    """Returns the new multiplier ``max(0, beta + step_size (KL - I_c))``, which grows while KL is larger than I_c.

    Args:
        beta: multiplier before the step.
        kl: KL divergence in nats, averaged over the real images and the fakes of the batch.
        information_constraint: information constraint I_c in nats.
        step_size: step size alpha_beta of the multiplier.
    """
    return (beta + step_size * (kl - information_constraint)).clamp(min=0.0)
