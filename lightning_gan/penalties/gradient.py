"""Penalties on the critic's gradient by its input.

Squares are summed over an image's pixels and averaged over the batch, never averaged over pixels.
"""

from collections.abc import Callable

import torch
from einops import rearrange, reduce

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


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


def gradient_at(critic: Callable[[Images], Logits], images: Images) -> Images:
    """``dD/dx`` of every sample at images that the critic has yet to look at, differentiable in its parameters.

    Inside one compiled graph the images must already require grad, as points do that are computed from an input of the
    graph which requires it: a graph can differentiate by such an intermediate, but cannot make a new leaf.
    `torch.func.grad` would need neither, but cannot pass through critics sharded by FSDP2.

    Args:
        critic: scores images.
        images: where to look; without grad they are taken as a leaf of their own.
    """
    if not images.requires_grad:
        images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient


def gradient_norm(gradient: Images) -> PerSample:
    """``||dD/dx||`` of every sample, in fp32.

    Not the root of the sum of squares: its slope is infinite at 0, so that one sample with a vanishing gradient would
    turn every weight into NaN. Where the gradient is 0, this norm's slope is 0, and its value is exact everywhere,
    which an epsilon under the root would spoil.
    """
    pixels = rearrange(full_precision(gradient), "batch channels height width -> batch (channels height width)")
    norms: PerSample = torch.linalg.vector_norm(pixels, dim=1)
    return norms


def squared_slope_along(
    critic: Callable[[Images], Logits], logits: Logits, images: Images, directions: Images, *, step: float
) -> PerSample:
    """``((D(x + h u) - D(x)) / h)^2``, which estimates ``||dD/dx||^2`` without differentiating by the input.

    For directions u from the standard normal distribution, as for any with ``E u u' = I``, its expectation is
    ``||dD/dx||^2`` up to terms of order h; on a linear critic exactly. Lin et al. 2025 (arXiv:2501.08316) call it
    approximated R1, for critics that cannot be differentiated twice.

    Args:
        critic: scores images.
        logits: the scores D(x) of the images.
        images: x, in [-1, 1].
        directions: u, as many as images.
        step: h, the size of a step in one pixel for a direction of 1.
    """
    moved = critic(images + step * directions)
    # A patch critic's scores are summed, as in the gradient.
    difference = reduce(full_precision(moved) - full_precision(logits), "batch ... -> batch", "sum")
    return (difference / step).square()
