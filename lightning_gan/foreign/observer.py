"""Records the calls of the networks of any LightningModule, and identifies real and fake images among their inputs.

Hooks record the arguments. A tensor that shares storage with the batch is real. A tensor that shares storage with the
generator's output is fake; `detach()` keeps the storage. A tensor with a graph belongs to the generator's turn.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle

from lightning_gan.loop.penalty_term import PenaltyTerm
from lightning_gan.tensors.precision import full_precision

Slot: TypeAlias = int | str
"""The place of an argument in a call: its position, or its keyword."""

Kind: TypeAlias = Literal["real", "fake", "fake with graph", "other with graph", "probe", "unknown"]
"""The kind of an input of the discriminator. A probe is a leaf with respect to which the module differentiates."""


def tensors_of(collection: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples, mappings and dataclasses, in order."""
    if isinstance(collection, Tensor):
        yield collection
    elif isinstance(collection, Mapping):
        for value in collection.values():
            yield from tensors_of(value)
    elif isinstance(collection, list | tuple):
        for value in collection:
            yield from tensors_of(value)
    elif is_dataclass(collection) and not isinstance(collection, type):
        for field in fields(collection):
            yield from tensors_of(getattr(collection, field.name))


def storages(tensors: Iterable[Tensor]) -> set[int]:
    """The addresses of the tensors' storages. Views of one tensor share its storage. Sharded tensors are left out."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if not isinstance(tensor, DTensor)} - {0}


def _may_be_labels(tensor: Tensor) -> bool:
    """Whether a tensor has the shape and dtype of class indices, or of one row of class weights per image."""
    return tensor.dim() == (2 if tensor.is_floating_point() else 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """A recorded call of a network.

    Attributes:
        network: network that was called.
        arguments: positional arguments of the call.
        keywords: keyword arguments of the call.
        output: result of the call; None for calls of the discriminator.
    """

    network: nn.Module
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Any = None

    @property
    def tensors(self) -> dict[Slot, Tensor]:
        """The tensors among the arguments, by their places."""
        slots: list[tuple[Slot, Any]] = [*enumerate(self.arguments), *self.keywords.items()]
        return {slot: value for slot, value in slots if isinstance(value, Tensor)}

    def storages_beside(self, slot: Slot) -> set[int]:
        """The addresses of the storages of all tensor arguments except the one at `slot`."""
        return storages(tensor for own, tensor in self.tensors.items() if own != slot)

    def label_slot(self, first: Slot) -> Slot | None:
        """The place of the labels: the only tensor, except the one at `first`, that has the shape of labels."""
        found = [slot for slot, tensor in self.tensors.items() if slot != first and _may_be_labels(tensor)]
        return found[0] if len(found) == 1 else None

    def again(self, replaced: Mapping[Slot, Tensor]) -> Tensor:
        """Call the network again with some tensors replaced. The other tensors are detached.

        Floating-point tensors are converted to the dtype of the weights, because autocast is off.

        Args:
            replaced: new tensors, by the places of the arguments.

        Returns:
            The output of the network, in fp32 or fp64.

        Raises:
            ValueError: if the network does not return a tensor.
        """
        precision = next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)

        def value_at(slot: Slot, value: Any) -> Any:
            if slot in replaced:
                value = replaced[slot]
            elif isinstance(value, Tensor):
                value = value.detach()
            return value.to(precision) if isinstance(value, Tensor) and value.is_floating_point() else value

        arguments = [value_at(position, value) for position, value in enumerate(self.arguments)]
        keywords = {name: value_at(name, value) for name, value in self.keywords.items()}
        output = self.network(*arguments, **keywords)
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{type(self.network).__name__} returns a {type(output).__name__} and no tensor; name a submodule that "
                "returns only its scores or images"
            )
        return full_precision(output)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recognized:
    """The calls of the discriminator in one turn, identified as real or fake.

    Attributes:
        slot: place of the images among the discriminator's arguments.
        kinds: kind of the images of every call.
        real: call on real images; None if it could not be identified.
        fake: call on the generator's images; None if it could not be identified.
        example: call whose other arguments belong to real images; None if it could not be identified.
    """

    slot: Slot
    kinds: Sequence[Kind]
    real: Call | None
    fake: Call | None
    example: Call | None


def recognize(calls: Sequence[Call], *, made: set[int], data: set[int]) -> Recognized:
    """Identify the real and the fake input of a discriminator.

    A single unknown input is taken as real if there is a known fake input (the real images were augmented or scaled),
    and as fake if there is a known real input (the fakes were augmented, or come from a pool). If there are two or more
    unknown inputs, they are not identified.

    Args:
        calls: calls of the discriminator in one turn, in order.
        made: addresses of the storages of the generator's outputs.
        data: addresses of the storages of the batch.
    """
    slot = _image_slot(calls, made=made)
    calls = [call for call in calls if slot in call.tensors]
    kinds = [_kind(call.tensors[slot], made=made, data=data) for call in calls]

    def last(kind: Kind) -> Call | None:
        return next((call for call, own in zip(reversed(calls), reversed(kinds), strict=True) if own == kind), None)

    unknown = storages(call.tensors[slot] for call, kind in zip(calls, kinds, strict=True) if kind == "unknown")
    only = last("unknown") if len(unknown) == 1 else None
    known_real = last("real")
    known_fake = last("fake") or last("fake with graph")
    fake = known_fake or (only if known_real else None) or last("other with graph")
    real = known_real or (only if fake else None)
    # Other real images are scored with the other arguments of a call on real images, or of an unknown call whose other
    # arguments are from the batch.
    others = [call for call, kind in zip(calls, kinds, strict=True) if kind == "unknown"]
    example = real or next((call for call in reversed(others) if call.storages_beside(slot) <= data), None) or only
    return Recognized(slot=slot, kinds=kinds, real=real, fake=fake, example=example or (None if others else fake))


def _image_slot(calls: Sequence[Call], *, made: set[int]) -> Slot:
    """The place of the first argument that is a fake. In image translation, for example, the source may precede it."""
    for call in calls:
        for slot, tensor in call.tensors.items():
            if storages([tensor]) & made:
                return slot
    return next((slot for call in calls for slot in call.tensors), 0)


def _kind(images: Tensor, *, made: set[int], data: set[int]) -> Kind:
    own = storages([images])
    if own & made:
        return "fake" if images.grad_fn is None else "fake with graph"
    if own & data:
        return "real"
    if images.grad_fn is not None:
        return "other with graph"
    return "probe" if images.requires_grad else "unknown"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """The recorded calls of the networks during one batch, in order.

    Attributes:
        batch: batch of the module.
        critics: calls of discriminators, by their attribute paths.
        generators: calls of generators, by their attribute paths.
    """

    batch: Any
    critics: dict[str, list[Call]]
    generators: dict[str, list[Call]]

    def generator_calls(self, generator: str | None) -> list[Call]:
        """The calls of the generator at an attribute path; an empty list if the path is None."""
        return [] if generator is None else self.generators[generator]

    def recognized(self, critic: str, generator: str | None) -> Recognized:
        """The calls of the discriminator in the present turn, identified as real or fake.

        Args:
            critic: attribute path of the discriminator.
            generator: attribute path of the generator; None if there is none.
        """
        made = [tensor for call in self.generator_calls(generator) for tensor in tensors_of(call.output)]
        return recognize(self.critics[critic], made=storages(made), data=storages(tensors_of(self.batch)))


@dataclass(kw_only=True, eq=False)
class Count:
    """Counts for a penalty in the present fit.

    Attributes:
        batches: number of batches of the module.
        steps: number of steps of the optimizer that updates the penalty's network.
    """

    batches: int = 0
    steps: int = 0


class Observer:
    """Records the calls of the networks of one LightningModule.

    All penalties share one observer, so that it does not record the forward passes of penalties as calls of the module.

    Attributes:
        records: records of the batches whose gradients are accumulated; the last one is that of the present batch.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._critics: list[str] = []
        self._generators: list[str] = []
        self._handles: list[RemovableHandle] = []
        self._counts: dict[PenaltyTerm, Count] = {}
        self._watching = False
        self._stepped = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "Observer":
        return self  # a copy of a network has the same hooks, which use this observer

    def watch(self, pl_module: LightningModule, *, critic: str | None, generator: str | None) -> None:
        """Register hooks on the networks at these attribute paths, once for each network.

        Args:
            pl_module: module that contains the networks.
            critic: attribute path of a discriminator; None for none.
            generator: attribute path of a generator; None for none.
        """
        if critic is not None and critic not in self._critics:
            self._critics.append(critic)
            hook = self._critic_hook(critic)
            # The hook runs before that of FSDP2, which may cast the input and thus change its storage.
            handle = pl_module.get_submodule(critic).register_forward_pre_hook(hook, prepend=True, with_kwargs=True)
            self._handles.append(handle)
        if generator is not None and generator not in self._generators:
            self._generators.append(generator)
            noting = self._generator_hook(generator)
            self._handles.append(pl_module.get_submodule(generator).register_forward_hook(noting, with_kwargs=True))

    # Hooks only append: they may be traced by torch.compile.

    def _critic_hook(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def note(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            if self._watching and torch.is_grad_enabled():
                critics = self.records[-1].critics
                if self._stepped:  # the first forward pass after a step begins a new turn
                    self._stepped = False
                    for calls in critics.values():
                        calls.clear()
                critics[path].append(Call(network=module, arguments=arguments, keywords=keywords))

        return note

    def _generator_hook(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]:
        def note(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            if self._watching:
                call = Call(network=module, arguments=arguments, keywords=keywords, output=output)
                self.records[-1].generators[path].append(call)

        return note

    def begin_batch(self, batch: Any, *, accumulates: bool) -> None:
        """Start to record. Every penalty calls this method; only the first call for a batch has an effect.

        Args:
            batch: batch that the module is about to use.
            accumulates: True if gradients of all batches since the last step are accumulated, so that their records are
                kept.
        """
        if self._watching:
            return
        self._watching = True
        if self._stepped or not accumulates:
            self.records.clear()
        self._stepped = False
        critics: dict[str, list[Call]] = {path: [] for path in self._critics}
        self.records.append(Record(batch=batch, critics=critics, generators={path: [] for path in self._generators}))

    def end_batch(self, *, accumulates: bool) -> None:
        """Stop recording, and delete the records if the next step does not need them.

        Args:
            accumulates: True if gradients of all batches since the last step are accumulated.
        """
        self._watching = False
        if self._stepped or not accumulates:
            self.records.clear()

    def begin_count(self, term: PenaltyTerm) -> None:
        """Set the counts of a penalty to 0."""
        self._counts[term] = Count()

    def count_of(self, term: PenaltyTerm) -> Count:
        """The counts of a penalty."""
        return self._counts[term]

    def note_step(self) -> None:
        """Note that an optimizer is about to step."""
        self._stepped = True

    def remove(self) -> None:
        """Remove all hooks from the networks."""
        for handle in self._handles:
            handle.remove()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context manager inside of which no calls are recorded."""
        watching, self._watching = self._watching, False
        try:
            yield
        finally:
            self._watching = watching


_observers: WeakKeyDictionary[LightningModule, Observer] = WeakKeyDictionary()


def observer_of(pl_module: LightningModule) -> Observer:
    """The observer of a module. The first call creates it."""
    return _observers.setdefault(pl_module, Observer())


def release(pl_module: LightningModule) -> None:
    """Delete a module's observer, if it has one, and remove its hooks."""
    if (observer := _observers.pop(pl_module, None)) is not None:
        observer.remove()
