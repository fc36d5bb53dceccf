"""Path length regularization: a step of fixed size in the space of styles changes the image by a fixed amount.

Karras et al. 2020, arXiv:1912.04958, section 3.2 and appendix B.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, PerSample, Scalar


def image_noise(images: Images) -> Images:
    """The paper's random direction y: standard normal, over the root of the number of pixels of one channel.

    With it ``E ||J'y||^2 = ||J||_F^2 / (height * width)``, and images upscaled by repeating pixels have equal lengths.
    """
    return torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])


def path_lengths(images: Images, styles: Float[Tensor, "batch layers style"], noise: Images) -> PerSample:
    """``||J'y||``: the gradient of ``<images, noise>`` by the styles, its root mean square over layers.

    Args:
        images: made from `styles`.
        styles: one per layer; not a leaf, but part of the images' graph.
        noise: the direction y, see `image_noise`.
    """
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    return root_mean_square(gradient)


def root_mean_square(gradient: Float[Tensor, "batch layers style"]) -> PerSample:
    """Squares summed over a style and averaged over layers, in fp32, where they do not overflow."""
    return full_precision(gradient).square().sum(dim=2).mean(dim=1).sqrt()


def deviation_from_mean(lengths: PerSample, mean: Scalar, *, decay: float) -> tuple[Scalar, Scalar]:
    """``E (length - a)^2`` with the running mean `a` already moved by these lengths, and that new mean (eq. 4).

    As in the authors' code gradients flow through the new mean too; keep it detached.

    Args:
        lengths: of this look.
        mean: the running mean so far.
        decay: how fast it moves, 0.01 in the paper's code.

    Example:
        >>> penalty, mean = deviation_from_mean(torch.tensor([1.0, 3.0]), torch.tensor(0.0), decay=0.5)
        >>> penalty.item(), mean.item()
        (2.0, 1.0)
    """
    new_mean = mean + decay * (lengths.mean() - mean)
    return (lengths - new_mean).square().mean(), new_mean
