"""The tensors of a batch by their places, and the number of samples that they have."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

LISTED = 12
"""Largest number of tensors that an error message lists."""


def placed_tensors(collection: Any, place: str = "batch") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested lists, tuples, mappings and dataclasses, in order, with the expressions that take them out.

    Args:
        collection: what contains the tensors.
        place: expression for the collection itself.

    Example:
        >>> import torch
        >>> batch = [torch.zeros(4, 3), {"label": torch.zeros(4)}]
        >>> [(place, list(tensor.shape)) for place, tensor in placed_tensors(batch)]
        [('batch[0]', [4, 3]), ("batch[1]['label']", [4])]
    """
    if isinstance(collection, Tensor):
        yield place, collection
    elif isinstance(collection, Mapping):
        for key, value in collection.items():
            yield from placed_tensors(value, f"{place}[{key!r}]")
    elif isinstance(collection, list | tuple):
        for index, value in enumerate(collection):
            yield from placed_tensors(value, f"{place}[{index}]")
    elif is_dataclass(collection) and not isinstance(collection, type):
        for field in fields(collection):
            yield from placed_tensors(getattr(collection, field.name), f"{place}.{field.name}")


def structure_of(batch: Any) -> str:
    """The places and shapes of a batch's tensors, in one line, for error messages.

    Example:
        >>> import torch
        >>> structure_of((torch.zeros(4, 1, 8, 8), torch.tensor(1)))
        'a tuple of batch[0] [4, 1, 8, 8], batch[1] []'
    """
    found = [f"{place} {list(tensor.shape)}" for place, tensor in placed_tensors(batch)]
    more = [f"{len(found) - LISTED} more"] if len(found) > LISTED else []
    kind = f"a {type(batch).__name__}"
    return f"{kind} of {', '.join(found[:LISTED] + more)}" if found else f"{kind} without tensors"


def samples_in(batch: Any) -> int | None:
    """The number of samples in a batch: the size of the first dimension of its tensors.

    Tensors without dimensions are left out. The result is None if the others do not agree, or if there are none.

    Example:
        >>> import torch
        >>> samples_in({"step": torch.tensor(1.0), "image": torch.zeros(4, 1, 8, 8), "label": torch.zeros(4)})
        4
    """
    sizes = {tensor.shape[0] for _, tensor in placed_tensors(batch) if tensor.dim()}
    return sizes.pop() if len(sizes) == 1 else None
