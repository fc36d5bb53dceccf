"""Short texts that tell whether bytes or tensors are the same."""

import hashlib

import torch
from torch import Tensor


def fingerprint_of(*parts: bytes | memoryview) -> str:
    """Returns 16 hexadecimal digits that change if one of the parts changes."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def fingerprint_of_tensor(tensor: Tensor) -> str:
    """Returns 16 hexadecimal digits that change if a value or the shape of a tensor changes."""
    kind = str((tensor.dtype, tuple(tensor.shape))).encode()
    return fingerprint_of(kind, tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
