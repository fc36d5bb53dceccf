"""Precision of computations that half precision, TF32 or bf16 would round too much."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Convert a tensor of lower precision to fp32; tensors in fp32 and fp64 keep their dtype.

    It is used for losses, penalties, statistics over a batch and other sums of many small squares, because bf16 has
    only 8 significant bits.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context inside of which autocast does not round. It costs nothing where autocast is off, as it usually is.

    Args:
        device: device of the tensors.
    """
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


@contextmanager
def unrounded_fp32() -> Iterator[None]:
    """Inside the context, products and convolutions of fp32 tensors do not round their inputs to TF32 or bf16.

    Settings such as `torch.set_float32_matmul_precision("medium")` round them, on GPUs and on the CPU. Autocast is
    another setting, which this context does not change.
    """
    backends = (
        torch.backends.cudnn.conv,  # type: ignore[attr-defined]
        torch.backends.cuda.matmul,
        torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
