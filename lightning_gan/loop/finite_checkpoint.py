"""Which tensor of a checkpoint is not finite."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_gan.loop.finite import local_part


@torch.no_grad()
def first_non_finite(checkpoint: dict[str, Any], *, buffers: Collection[str]) -> str | None:
    """The name of the first tensor of a checkpoint that contains NaN or infinity, or None if there is none.

    Weights, optimizer states and the tensors in callbacks' states with one dimension or more (averaged weights, for
    example) are looked at. The device is waited for once.

    Args:
        checkpoint: content of a checkpoint of Lightning.
        buffers: names of the module's buffers, in which infinity is allowed, because masks contain it.
    """
    names, flags = [], []
    for section in ("state_dict", "optimizer_states", "callbacks"):
        for name, tensor in _tensors(checkpoint.get(section, {}), "" if section == "state_dict" else section):
            if section == "callbacks" and tensor.dim() == 0:
                continue  # Lightning's callbacks save an infinite best score before the first one
            local = local_part(tensor)
            infinity_is_wrong = section != "state_dict" or name not in buffers
            names.append(name)
            flags.append(local.isfinite().all() if infinity_is_wrong else local.isnan().any().logical_not())
    if not flags:
        return None
    finite = torch.stack([flag.to(flags[0].device) for flag in flags]).tolist()
    return next((name for name, good in zip(names, finite, strict=True) if not good), None)


def _tensors(content: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of real numbers in nested dictionaries and lists, with their names."""
    if isinstance(content, Tensor):
        if content.is_floating_point() and content.numel():
            yield name, content
    elif isinstance(content, dict | list | tuple):
        parts = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in parts:
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
