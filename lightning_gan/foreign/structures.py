"""The tensors in nested lists, tuples, mappings and dataclasses: batches, arguments and outputs of networks."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

LISTED = 12
"""Largest number of tensors that an error message lists."""


def places_of(collection: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a collection in order, each with its place: keys, positions and names of fields, joined by dots.

    Args:
        collection: a tensor, or nested lists, tuples, mappings and dataclasses. Other values are passed over.
        place: place of the collection itself.

    Example:
        >>> import torch
        >>> [place for place, _ in places_of({"image": torch.zeros(2, 3), "scales": [torch.zeros(1)]})]
        ['image', 'scales.0']
    """
    if isinstance(collection, Tensor):
        yield place, collection
        return
    for key, value in _parts(collection):
        yield from places_of(value, f"{place}.{key}" if place else str(key))


def tensors_of(collection: Any) -> Iterator[Tensor]:
    """The tensors of a collection, in order.

    Args:
        collection: a tensor, or nested lists, tuples, mappings and dataclasses. Other values are passed over.
    """
    return (tensor for _, tensor in places_of(collection))


def changed(collection: Any, change: Callable[[str, Tensor], Any], place: str = "") -> Any:
    """A copy of a collection in which every tensor is replaced by ``change(place, tensor)``.

    (`apply_to_collection` of Lightning does not tell the places, and refuses frozen dataclasses.)

    Args:
        collection: a tensor, or nested lists, tuples, mappings and dataclasses. Other values are kept.
        change: function that returns what replaces a tensor.
        place: place of the collection itself.
    """
    if isinstance(collection, Tensor):
        return change(place, collection)
    values = {key: changed(value, change, f"{place}.{key}" if place else str(key)) for key, value in _parts(collection)}
    if not values:
        return collection
    if isinstance(collection, Mapping):
        mapping = copy(collection)
        for key, value in values.items():
            mapping[key] = value  # type: ignore[index]
        return mapping
    if isinstance(collection, list):
        return list(values.values())
    if isinstance(collection, tuple):
        kind: Any = type(collection)
        return kind(values.values()) if kind is tuple else kind(*values.values())  # a named tuple
    duplicate = copy(collection)
    for name, value in values.items():
        object.__setattr__(duplicate, name, value)  # also for frozen dataclasses
    return duplicate


def shape_text(tensor: Tensor) -> str:
    """The shape of a tensor, for messages.

    Example:
        >>> import torch
        >>> shape_text(torch.zeros(4, 3, 64, 64)), shape_text(torch.zeros(()))
        ('4x3x64x64', 'a single number')
    """
    return "x".join(str(size) for size in tensor.shape) or "a single number"


def structure_text(collection: Any) -> str:
    """The places and shapes of a collection's tensors in one line, for messages.

    Example:
        >>> import torch
        >>> structure_text((torch.zeros(4, 3), {"label": torch.zeros(4)})), structure_text(7)
        ('tuple of (0: 4x3, 1.label: 4)', 'int without tensors')
        >>> structure_text(torch.zeros(4))
        'Tensor of 4'
    """
    kind = type(collection).__name__
    if isinstance(collection, Tensor):
        return f"{kind} of {shape_text(collection)}"
    found = [f"{place}: {shape_text(tensor)}" for place, tensor in places_of(collection)]
    more = [f"{len(found) - LISTED} more"] if len(found) > LISTED else []
    return f"{kind} of ({', '.join(found[:LISTED] + more)})" if found else f"{kind} without tensors"


def samples_in(batch: Any) -> int | None:
    """The number of samples in a batch: the size of the first dimension of its tensors.

    Tensors without dimensions are left out. The result is None if the others do not agree, or if there are none.

    Example:
        >>> import torch
        >>> samples_in({"step": torch.tensor(1.0), "image": torch.zeros(4, 1, 8, 8), "label": torch.zeros(4)})
        4
    """
    sizes = {tensor.shape[0] for tensor in tensors_of(batch) if tensor.dim()}
    return sizes.pop() if len(sizes) == 1 else None


def _parts(collection: Any) -> list[tuple[Any, Any]]:
    """The keys and values of a collection; an empty list if it is none."""
    if isinstance(collection, Mapping):
        return list(collection.items())
    if isinstance(collection, list | tuple):
        return list(enumerate(collection))
    if is_dataclass(collection) and not isinstance(collection, type):
        return [(field.name, getattr(collection, field.name)) for field in fields(collection)]
    return []
