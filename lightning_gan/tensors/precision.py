"""Conversion to fp32 for computations that half precision would round too much."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Convert a tensor of lower precision to fp32; tensors in fp32 and fp64 keep their dtype.

    It is used for losses, penalties, statistics over a batch and other sums of many small squares, because bf16 has
    only 8 significant bits.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
