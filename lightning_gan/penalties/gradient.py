"""Penalties on the gradient of the discriminator's logits by the images.

Squares are summed over an image's pixels and averaged over the batch, never averaged over pixels.
"""

from collections.abc import Callable

import torch
from einops import rearrange, reduce

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


def one_per_sample(logits: Logits, *, mean_over_patches: bool) -> PerSample:
    """Returns one score D(x) per sample, in fp32.

    Penalties on ``dD/dx`` need one score per image. For a patch discriminator, which returns a map of P scores, it is
    their sum or their mean. The gradient of the sum is P times that of the mean, and its squared norm P^2 times.

    Args:
        logits: logits of the images: one number per sample, or a map of numbers.
        mean_over_patches: whether D(x) is the mean of a map, not the sum.

    Example:
        >>> maps = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
        >>> [one_per_sample(maps, mean_over_patches=mean).item() for mean in (False, True)]
        [12.0, 3.0]
    """
    return reduce(full_precision(logits), "batch ... -> batch", "mean" if mean_over_patches else "sum")


def squared_gradient_norm(logits: Logits, images: Images, *, mean_over_patches: bool = False) -> PerSample:
    """Returns ``||dD/dx||^2`` of every sample, differentiable by the discriminator's parameters.

    It differentiates the sum of the batch's logits. This gives every sample's own gradient if the logits of a sample
    do not depend on other samples, as they do with batch normalization. Squares are summed in fp32, because in half
    precision they overflow or underflow.

    Args:
        logits: logits D(x) of the images.
        images: images x from which the logits were computed; they must require grad.
        mean_over_patches: whether D(x) is the mean of a map of logits, not the sum.
    """
    scores = one_per_sample(logits, mean_over_patches=mean_over_patches)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return reduce(full_precision(gradient).square(), "batch channels height width -> batch", "sum")


def zero_centered(logits: Logits, images: Images, *, mean_over_patches: bool = False) -> Scalar:
    """Returns ``E ||dD/dx||^2`` (Mescheder et al. 2018, arXiv:1801.04406, eq. 9 and 10, without their gamma / 2).

    Args:
        logits: logits D(x) of the images.
        images: images x from which the logits were computed; they must require grad.
        mean_over_patches: whether D(x) is the mean of a map of logits, not the sum.

    Example:
        >>> images = torch.zeros(4, 1, 1, 2, requires_grad=True)
        >>> logits = images.flatten(1) @ torch.tensor([3.0, 4.0])
        >>> zero_centered(logits, images).item()
        25.0
    """
    return squared_gradient_norm(logits, images, mean_over_patches=mean_over_patches).mean()


def gradient_at(critic: Callable[[Images], Logits], images: Images, *, mean_over_patches: bool = False) -> Images:
    """Runs a forward pass, and returns ``dD/dx`` of every sample, differentiable by the discriminator's parameters.

    Inside a compiled graph the images must already require grad, for example because they are computed from an input of
    the graph that requires it: the graph can differentiate by such a tensor, but cannot make a new leaf.
    `torch.func.grad` would not need this, but does not work with discriminators sharded by FSDP2.

    Args:
        critic: function that returns the logits of images.
        images: images x; if they do not require grad, they are detached and do so from then on.
        mean_over_patches: whether D(x) is the mean of a map of logits, not the sum.
    """
    if not images.requires_grad:
        images = images.detach().requires_grad_()
    scores = one_per_sample(critic(images), mean_over_patches=mean_over_patches)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient


def gradient_norm(gradient: Images) -> PerSample:
    """Returns ``||dD/dx||`` of every sample, in fp32.

    It is not computed as the root of the sum of squares, whose slope is infinite at 0, so that one sample with a
    gradient of 0 would turn every weight into NaN. This norm has slope 0 there. Its value is exact everywhere, which it
    would not be with an epsilon under the root.

    Args:
        gradient: ``dD/dx``, `batch channels height width`.
    """
    pixels = rearrange(full_precision(gradient), "batch channels height width -> batch (channels height width)")
    norms: PerSample = torch.linalg.vector_norm(pixels, dim=1)
    return norms


def squared_slope_along(
    critic: Callable[[Images], Logits],
    logits: Logits,
    images: Images,
    directions: Images,
    *,
    step: float,
    mean_over_patches: bool = False,
) -> PerSample:
    """Returns ``((D(x + h u) - D(x)) / h)^2``, which estimates ``||dD/dx||^2`` without differentiating by the input.

    For directions u from the standard normal distribution, and from any with ``E u u' = I``, its expectation is
    ``||dD/dx||^2`` up to terms of order h, and exactly this for a linear discriminator. Lin et al. 2025
    (arXiv:2501.08316) call it approximated R1, for discriminators that cannot be differentiated twice.

    Args:
        critic: function that returns the logits of images.
        logits: logits D(x) of the images.
        images: images x, in [-1, 1].
        directions: directions u, one for each image and of its shape.
        step: step size h; a pixel changes by h where u is 1.
        mean_over_patches: whether D(x) is the mean of a map of logits, not the sum.
    """
    moved = critic(images + step * directions)
    # Each patch's difference first, because a difference of sums would lose more digits.
    difference = one_per_sample(full_precision(moved) - full_precision(logits), mean_over_patches=mean_over_patches)
    return (difference / step).square()
