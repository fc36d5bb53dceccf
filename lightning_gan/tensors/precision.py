"""Where half precision would hurt."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """fp32 from anything less; fp32 and fp64 as they are.

    For losses, penalties, statistics over a batch and other sums of many small squares: bf16 keeps 8 bits of them.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
