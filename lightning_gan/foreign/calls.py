"""Calls of networks as they are recorded: their arguments without graphs, and the memory of their outputs."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from lightning_gan.compat import version_of
from lightning_gan.foreign.structures import changed, places_of, shape_text


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A tensor at the time when a network was called with it.

    Attributes:
        tensor: the tensor without its graph. It shares memory with the original.
        version: number of changes in place of the tensor until the call.
        has_graph: whether the tensor was computed from something that requires grad.
        requires_grad: whether the tensor required grad.
    """

    tensor: Tensor
    version: int
    has_graph: bool
    requires_grad: bool

    @classmethod
    def of(cls, tensor: Tensor) -> "Seen":
        """The present state of a tensor."""
        return cls(
            tensor=tensor.detach(),
            version=version_of(tensor),
            has_graph=tensor.grad_fn is not None,
            requires_grad=tensor.requires_grad,
        )

    @property
    def is_unchanged(self) -> bool:
        """Whether the tensor has not been changed in place since the call."""
        return version_of(self.tensor) == self.version

    @property
    def geometry(self) -> tuple[Any, ...]:
        """Which part of its memory the tensor is."""
        return geometry_of(self.tensor)

    def is_same(self, other: "Seen") -> bool:
        """Whether both are the same part of the same memory, with the same content."""
        mine, others = storage_of(self.tensor), storage_of(other.tensor)
        return mine is not None and mine is others and self.geometry == other.geometry and self.version == other.version


def geometry_of(tensor: Tensor) -> tuple[Any, ...]:
    """Shape, strides, offset and dtype of a tensor in its memory."""
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.dtype


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """The memory of a tensor, one object for all views of it; None if it has none of its own, as a sharded tensor."""
    return None if isinstance(tensor, DTensor) or not tensor.numel() else tensor.untyped_storage()


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """An output of a generator, without keeping it or its graph in memory.

    Attributes:
        memory: weak reference to the memory of the output.
        geometry: which part of this memory the output is.
        is_trained: whether the output required grad.
    """

    memory: "weakref.ref[torch.UntypedStorage]"
    geometry: tuple[Any, ...]
    is_trained: bool

    @classmethod
    def of(cls, tensor: Tensor) -> "Made | None":
        """An output, or None if it has no memory of its own."""
        storage = storage_of(tensor)
        if storage is None:
            return None
        return cls(memory=weakref.ref(storage), geometry=geometry_of(tensor), is_trained=tensor.requires_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        shape: tuple[int, ...] = self.geometry[0]
        return shape

    def has(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in the memory of the output."""
        storage = storage_of(tensor)
        return storage is not None and self.memory() is storage

    def is_all_of(self, tensor: Tensor) -> bool:
        """Whether a tensor is the whole output."""
        return self.has(tensor) and geometry_of(tensor) == self.geometry


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """A recorded call of a network.

    Attributes:
        network: network that was called.
        arguments: positional arguments of the call, with detached tensors.
        keywords: keyword arguments of the call, with detached tensors.
        names: names of the network's positional arguments.
        seen: tensors among the arguments, by their places, such as "image" or "images.low".
        trains: whether a parameter of the network required grad.
        made: outputs of the network by their places, for generators only.
        turn: number of optimizer steps before the call.
    """

    network: nn.Module
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    names: tuple[str, ...]
    seen: dict[str, Seen]
    trains: bool
    made: dict[str, Made]
    turn: int

    @classmethod
    def of(
        cls,
        network: nn.Module,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        *,
        names: tuple[str, ...],
        turn: int,
        output: Any = None,
    ) -> "Call":
        """Record a call.

        Args:
            network: network that is called.
            arguments: positional arguments.
            keywords: keyword arguments.
            names: names of the network's positional arguments.
            turn: number of optimizer steps before the call.
            output: output of the call, for generators only.
        """
        seen: dict[str, Seen] = {}

        def note(place: str, tensor: Tensor) -> Tensor:
            seen[place] = Seen.of(tensor)
            return seen[place].tensor

        positional, named = changed_arguments(arguments, keywords, note, names=names)
        made = {place: Made.of(tensor) for place, tensor in places_of(output)}
        return cls(
            network=network,
            arguments=positional,
            keywords=named,
            names=names,
            seen=seen,
            trains=any(parameter.requires_grad for parameter in network.parameters()),
            made={place: own for place, own in made.items() if own is not None},
            turn=turn,
        )

    @property
    def floating(self) -> dict[str, Seen]:
        """The tensors of floating-point numbers among the arguments, by their places."""
        return {place: seen for place, seen in self.seen.items() if seen.tensor.is_floating_point()}

    def is_same(self, other: "Call") -> bool:
        """Whether both calls have the same arguments, as when scores are computed twice."""
        if self.seen.keys() != other.seen.keys():
            return False
        alike = all(seen.is_same(other.seen[place]) for place, seen in self.seen.items())
        return alike and _others(self) == _others(other)

    def again(self, replaced: Mapping[str, Tensor], *, rows: slice, samples: int) -> Any:
        """Call the network again with some tensors replaced. The other tensors are detached.

        Floating-point tensors are converted to the dtype of the weights, because autocast is off.

        Args:
            replaced: new tensors, by the places of the arguments.
            rows: samples of the call whose other arguments go with the new tensors.
            samples: number of samples of the call. Tensors with another number of rows are not cut.

        Raises:
            ValueError: if another argument was changed in place after the call.
        """
        precision = next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)
        is_cut = rows.indices(samples) != (0, samples, 1)

        def value_at(place: str, tensor: Tensor) -> Tensor:
            if place in replaced:
                tensor = replaced[place]
            else:
                check_unchanged(self.seen[place], place)
                if is_cut and tensor.dim() and len(tensor) == samples:
                    tensor = tensor[rows]
            return tensor.to(precision) if tensor.is_floating_point() else tensor

        arguments, keywords = changed_arguments(self.arguments, self.keywords, value_at, names=self.names)
        return self.network(*arguments, **keywords)


def check_unchanged(seen: Seen, place: str) -> None:
    """Check that a tensor has not been changed in place since the call.

    Args:
        seen: tensor at the time of the call.
        place: place among the arguments, for the error message.

    Raises:
        ValueError: if it was changed.
    """
    if not seen.is_unchanged:
        raise ValueError(
            f"the tensor of {shape_text(seen.tensor)} that the network was called with as {place!r} was changed in "
            f"place after the call, so that a penalty would use other values; change a copy instead: {place}.clone()"
        )


def changed_arguments(
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    change: Callable[[str, Tensor], Any],
    *,
    names: tuple[str, ...],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call in which every tensor is replaced by ``change(place, tensor)``.

    Args:
        arguments: positional arguments.
        keywords: keyword arguments.
        change: function that returns what replaces a tensor.
        names: names of the positional arguments. Further ones have their number as their place.
    """
    places = [names[index] if index < len(names) else str(index) for index in range(len(arguments))]
    positional = tuple(changed(value, change, place) for place, value in zip(places, arguments, strict=True))
    return positional, {name: changed(value, change, name) for name, value in keywords.items()}


def _others(call: Call) -> str:
    """The arguments that are no tensors, as a text that can be compared."""
    return repr(changed_arguments(call.arguments, call.keywords, lambda place, tensor: None, names=call.names))
