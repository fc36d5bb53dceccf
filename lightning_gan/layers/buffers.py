"""Protection of buffers, such as running statistics and the vectors of power iterations, from extra forward passes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def unmoved_buffers(*networks: nn.Module) -> Iterator[None]:
    """Context manager inside of which networks have copies of their buffers, so that forward passes do not change them.

    The buffers themselves are not written to, not even with their own values: autograd would refuse a pending backward
    pass through a network whose buffers were changed in place.

    Args:
        networks: networks whose buffers are protected.
    """
    owners = {module: None for network in networks for module in network.modules()}
    buffers = [(module, name, own) for module in owners for name, own in module.named_buffers(recurse=False)]
    copies: dict[Tensor, Tensor] = {}  # a buffer that several modules share has one copy
    try:
        with torch.no_grad():
            for module, name, own in buffers:
                setattr(module, name, copies.setdefault(own, own.clone()))
        yield
    finally:
        for module, name, own in buffers:
            setattr(module, name, own)
