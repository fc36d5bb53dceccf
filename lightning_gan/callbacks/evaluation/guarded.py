"""Calls whose errors say what is wrong, and reach every rank."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

Result = TypeVar("Result")


def applied(network: nn.Module, *images: Tensor, asker: str, setting: str) -> Tensor:
    """Applies a network of the user to images, and says which network cannot take them.

    Args:
        network: network that is called.
        *images: arguments of the network.
        asker: name of the callback, for the error message.
        setting: argument of the callback that is the network, such as "extractor".

    Raises:
        ValueError: if the network raises an error, or returns no tensor with one row for each image.
    """
    shape, kind = list(images[0].shape), images[0].dtype
    taken = f"{asker}: {setting}={type(network).__name__} cannot take images {shape} of {kind}"
    remedy = f"give another {setting}, or images that it takes"
    try:
        result: Any = network(*images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{taken} ({reason}); {remedy}") from error
    if not isinstance(result, Tensor):
        raise ValueError(f"{taken} (it returned a {type(result).__name__} and no tensor); {remedy}")
    return result


def on_first_rank(trainer: Trainer, compute: Callable[[], Result]) -> Result | None:
    """Computes something on rank 0, and raises its `ValueError` on every rank, so that none waits for the others.

    Args:
        trainer: trainer that runs the ranks.
        compute: function that rank 0 calls.

    Returns:
        The result on rank 0; None on the other ranks.
    """
    result: Result | None = None
    problem: str | None = None
    if trainer.is_global_zero:
        try:
            result = compute()
        except ValueError as error:
            if trainer.world_size == 1:
                raise
            problem = str(error)
    problem = trainer.strategy.broadcast(problem)
    if problem is not None:
        raise ValueError(problem)
    return result
