"""Orthogonal regularization: a layer's filters should not repeat each other.

A weight is read as a matrix W with one row per output filter. Brock et al. write ``W'W`` for filters in columns, which
is the same Gram matrix.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Scalar


def gram_of_filters(weight: Float[Tensor, "filters ..."]) -> Float[Tensor, "filters filters"]:
    """``WW'`` of a weight with its output filters in dimension 0; in fp32, because 1 is taken from its diagonal."""
    rows = full_precision(weight.flatten(1))
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ rows.T


def orthogonality(weight: Float[Tensor, "filters ..."]) -> Scalar:
    """``||WW' - I||_F^2`` (Brock et al. 2016, arXiv:1609.07093).

    Example:
        >>> orthogonality(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).item()
        3.0
    """
    gram = gram_of_filters(weight)
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()


def off_diagonal_orthogonality(weight: Float[Tensor, "filters ..."]) -> Scalar:
    """``||WW' (1 - I)||_F^2``, elementwise product (Brock et al. 2019, arXiv:1809.11096, eq. 3): norms are left free.

    Its gradient is ``4 (WW' (1 - I)) W``. BigGAN-PyTorch adds half of that to `.grad`: its strength is twice ours.

    Example:
        >>> off_diagonal_orthogonality(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).item()
        2.0
    """
    gram = gram_of_filters(weight)
    return (gram - gram.diagonal().diag()).square().sum()
