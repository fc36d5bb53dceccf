"""Protection of buffers, such as running statistics and the vectors of power iterations, from extra forward passes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def unmoved_buffers(*networks: nn.Module) -> Iterator[None]:
    """Context manager that restores all buffers of networks at its end, so that forward passes do not change them.

    Args:
        networks: networks whose buffers are restored.
    """
    buffers = [buffer for network in networks for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
