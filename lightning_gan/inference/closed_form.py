"""Directions in the latent space in closed form (SeFa, Shen and Zhou 2021, arXiv:2007.06600)."""

import torch
from jaxtyping import Float
from torch import Tensor


def directions_of(
    weight: Float[Tensor, "outputs latent"],
) -> tuple[Float[Tensor, "latent latent"], Float[Tensor, " latent"]]:
    """The directions along which a linear layer changes most, and by how much.

    A layer computes ``y = A z + b``, so that a step n of the latent changes its output by ``A n`` (eq. 3). The k unit
    vectors with the largest sum of ``||A n||^2`` (eq. 4 to 6) are the eigenvectors of ``A^T A`` with the largest
    eigenvalues (eq. 7 and 8).

    Args:
        weight: A, the layer's matrix; the matrices of several layers below each other for all of them together.

    Returns:
        Eigenvectors of ``A^T A`` as rows, those with the largest eigenvalues first, and the eigenvalues ``||A n||^2``,
        both in fp64 on the CPU. Eigenvectors have no sign: here the largest component is positive.

    Example:
        >>> directions, values = directions_of(torch.tensor([[0.0, -2.0], [1.0, 0.0]]))
        >>> directions.tolist(), values.tolist()
        ([[0.0, 1.0], [1.0, 0.0]], [4.0, 1.0])
    """
    matrix = weight.detach().cpu().double()
    values, vectors = torch.linalg.eigh(matrix.T @ matrix)  # in ascending order; the vectors are columns
    directions = vectors.T.flip(0)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return directions * largest.sign() + 0.0, values.flip(0).clamp(min=0.0)  # + 0.0: no negative zeros
