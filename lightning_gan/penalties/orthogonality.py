"""Orthogonal regularization, which keeps a layer's filters orthogonal to each other.

A weight is reshaped to a matrix W with one row per output filter. Brock et al. write ``W'W`` with filters in columns,
which is the same Gram matrix.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.precision import full_precision, without_autocast
from lightning_gan.tensors.shapes import Scalar


def gram_of_filters(weight: Float[Tensor, "filters ..."]) -> Float[Tensor, "filters filters"]:
    """Returns ``WW'`` of a weight whose output filters are in dimension 0.

    It is computed in fp32, because 1 is subtracted from its diagonal.
    """
    rows = full_precision(weight.flatten(1))
    with without_autocast(rows.device):
        return rows @ rows.T


def orthogonality(weight: Float[Tensor, "filters ..."]) -> Scalar:
    """Returns ``||WW' - I||_F^2`` (Brock et al. 2016, arXiv:1609.07093).

    Example:
        >>> orthogonality(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).item()
        3.0
    """
    gram = gram_of_filters(weight)
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()


def off_diagonal_orthogonality(weight: Float[Tensor, "filters ..."]) -> Scalar:
    """Returns ``||WW' (1 - I)||_F^2`` with an elementwise product (Brock et al. 2019, arXiv:1809.11096, eq. 3).

    It does not limit the filters' norms. Its gradient is ``4 (WW' (1 - I)) W``. BigGAN-PyTorch adds half of this to
    `.grad`, so that its strength is twice ours.

    Example:
        >>> off_diagonal_orthogonality(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).item()
        2.0
    """
    gram = gram_of_filters(weight)
    return (gram - gram.diagonal().diag()).square().sum()
