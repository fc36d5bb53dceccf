"""What networks keep beside their weights: running statistics, the vectors of power iterations and the like."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def unmoved_buffers(*networks: nn.Module) -> Iterator[None]:
    """On leaving, all buffers are as they were before: another forward pass must not move them twice."""
    buffers = [buffer for network in networks for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
