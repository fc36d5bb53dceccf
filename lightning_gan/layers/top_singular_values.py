"""The largest singular values of weights: how BigGAN's authors watch for collapse (arXiv:1809.11096, section 4)."""

import torch
from torch import Tensor

from lightning_gan.tensors.precision import full_precision


@torch.no_grad()
def top_singular_values(weight: Tensor, *, count: int = 3, exact_up_to: int = 512, iterations: int = 20) -> Tensor:
    """The largest singular values of a weight as the matrix `output channels x rest`, in falling order.

    Args:
        weight: of two or more dimensions.
        count: how many; fewer if the matrix has no more.
        exact_up_to: matrices whose smaller side is at most this are decomposed exactly. Of larger ones a few more
            directions than asked for are iterated together (subspace iteration), which gives the first digits.
        iterations: of the larger ones.

    Example:
        >>> top_singular_values(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
        tensor([3., 1.])
    """
    matrix = full_precision(weight.flatten(1))
    with torch.autocast(matrix.device.type, enabled=False):
        if min(matrix.shape) <= exact_up_to:
            exact: Tensor = torch.linalg.svdvals(matrix)
            return exact[:count]
        random = torch.Generator().manual_seed(0)
        directions = torch.randn(matrix.shape[1], 2 * count + 4, generator=random).to(matrix)
        for _ in range(iterations):
            directions = torch.linalg.qr(matrix.T @ (matrix @ directions)).Q
        nearly: Tensor = torch.linalg.svdvals(matrix @ directions)
        return nearly[:count]
