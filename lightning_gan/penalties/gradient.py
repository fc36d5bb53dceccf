"""Penalties on the critic's gradient by its input.

Squares are summed over an image's pixels and averaged over the batch, never averaged over pixels.
"""

import torch
from einops import reduce

from lightning_gan.precision import full_precision
from lightning_gan.shapes import Images, Logits, PerSample, Scalar


def squared_gradient_norm(logits: Logits, images: Images) -> PerSample:
    """``||dD/dx||^2`` of every sample, differentiable in the critic's parameters.

    The batch is summed first, which gives every sample's own gradient as long as samples do not meet inside the critic
    (batch normalization makes them meet). Squares are summed in fp32: in half precision they overflow or drown.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return reduce(full_precision(gradient).square(), "batch channels height width -> batch", "sum")


def zero_centered(logits: Logits, images: Images) -> Scalar:
    """``E ||dD/dx||^2`` (Mescheder et al. 2018, arXiv:1801.04406, eq. 9 and 10, without their gamma / 2).

    Example:
        >>> images = torch.zeros(4, 1, 1, 2, requires_grad=True)
        >>> logits = images.flatten(1) @ torch.tensor([3.0, 4.0])
        >>> zero_centered(logits, images).item()
        25.0
    """
    return squared_gradient_norm(logits, images).mean()
