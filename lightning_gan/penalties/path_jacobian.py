"""Path length regularization: a step of fixed size in the space of styles should change the image by a fixed amount.

Karras et al. 2020, arXiv:1912.04958, section 3.2 and appendix B.
"""

import math
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.draws_by_position import mean_over_parts, normal_like
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import PerSample, Scalar

Outputs: TypeAlias = Float[Tensor, "batch channels *positions"]
"""Outputs of a generator: images in the paper, and also signals, videos or vectors."""


def image_noise(images: Outputs) -> Outputs:
    """Draws the paper's random direction y: standard normal, divided by the root of the number of pixels of a channel.

    With this scale ``E ||J'y||^2 = ||J||_F^2 / (height * width)``, and upscaling images by repeating pixels does not
    change their path lengths. The same holds for signals and videos, whose pixels are their positions. A vector has one
    position.

    Args:
        images: images whose shape the direction has, `batch channels height width`, or other outputs of a generator.
    """
    return normal_like(images) / math.sqrt(images.shape[2:].numel())


def path_lengths(images: Outputs, styles: Float[Tensor, "batch layers style"], noise: Outputs) -> PerSample:
    """Returns ``||J'y||``: the norm of the gradient of ``<images, noise>`` by the styles, as root mean square over
    layers.

    Args:
        images: images generated from `styles`.
        styles: one style per layer; they must be part of the images' graph.
        noise: random direction y in image space, as `image_noise` returns it.
    """
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    return root_mean_square(gradient)


def root_mean_square(gradient: Float[Tensor, "batch layers style"]) -> PerSample:
    """Returns the root of the squares, summed over a style and averaged over layers, in fp32 to avoid overflow."""
    return full_precision(gradient).square().sum(dim=2).mean(dim=1).sqrt()


def deviation_from_mean(lengths: PerSample, mean: Scalar, *, decay: float) -> tuple[Scalar, Scalar]:
    """Returns ``E (length - a)^2`` and a, where a is the running mean updated by these lengths (eq. 4).

    As in the authors' code, gradients also flow through the new mean; detach it before storing it. Unlike there, it is
    the mean over all processes, except in compiled turns.

    Args:
        lengths: path lengths of the current forward pass.
        mean: running mean before the update.
        decay: share of the new lengths in the running mean; 0.01 in the paper's code.

    Example:
        >>> penalty, mean = deviation_from_mean(torch.tensor([1.0, 3.0]), torch.tensor(0.0), decay=0.5)
        >>> penalty.item(), mean.item()
        (2.0, 1.0)
    """
    new_mean = mean + decay * (mean_over_parts(lengths) - mean)
    return (lengths - new_mean).square().mean(), new_mean
