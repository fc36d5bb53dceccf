"""The largest singular values of weights. BigGAN's authors monitor collapse with them (arXiv:1809.11096, section 4)."""

import torch
from torch import Tensor

from lightning_gan.tensors.precision import full_precision, without_autocast


@torch.no_grad()
def top_singular_values(weight: Tensor, *, count: int = 3, exact_up_to: int = 512, iterations: int = 20) -> Tensor:
    """The largest singular values of a weight, taken as the matrix `output channels x rest`, in decreasing order.

    Args:
        weight: weight with two or more dimensions, of which the first is the output channels.
        count: number of singular values. The result is shorter if the matrix has fewer.
        exact_up_to: largest size of the smaller side of a matrix for which the result is exact. For larger matrices,
            subspace iteration with 2 `count` + 4 directions approximates the values to their first digits.
        iterations: number of subspace iterations for larger matrices.

    Example:
        >>> top_singular_values(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
        tensor([3., 1.])
    """
    matrix = full_precision(weight.flatten(1))
    with without_autocast(matrix.device):
        if min(matrix.shape) <= exact_up_to:
            exact: Tensor = torch.linalg.svdvals(matrix)
            return exact[:count]
        random = torch.Generator().manual_seed(0)
        directions = torch.randn(matrix.shape[1], 2 * count + 4, generator=random).to(matrix)
        for _ in range(iterations):
            directions = torch.linalg.qr(matrix.T @ (matrix @ directions)).Q
        nearly: Tensor = torch.linalg.svdvals(matrix @ directions)
        return nearly[:count]
