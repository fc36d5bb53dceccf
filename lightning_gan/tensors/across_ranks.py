"""Sums and means over all ranks of distributed training, which can be differentiated."""

import torch
import torch.distributed
from torch import Tensor
from torch.autograd.function import FunctionCtx


class _SumOverRanks(torch.autograd.Function):
    """A sum over all ranks. The result on every rank depends on each rank's part, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return sum_over_ranks(gradient)


def sum_over_ranks(part: Tensor) -> Tensor:
    """The sum of the tensors of all ranks, on every rank. It can be differentiated any number of times."""
    total: Tensor = _SumOverRanks.apply(part)
    return total


def ranks() -> int:
    """The number of processes that train together; 1 without distributed training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def mean_over_ranks(part: Tensor) -> Tensor:
    """The mean of the tensors of all ranks, on every rank. It can be differentiated any number of times."""
    return sum_over_ranks(part) / ranks() if ranks() > 1 else part


def first_message(message: str | None) -> str | None:
    """The message of the first rank that has one, on every rank, so that all ranks can stop with the same error.

    All ranks must call this function together.

    Args:
        message: this rank's message, or None.
    """
    if ranks() == 1:
        return message
    messages: list[str | None] = [None] * ranks()
    torch.distributed.all_gather_object(messages, message)
    return next((found for found in messages if found is not None), None)
