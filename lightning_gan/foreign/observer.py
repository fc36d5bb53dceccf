"""Watches networks of a LightningModule that this package has never seen, to tell what is real and what is fake.

Hooks write down what the networks are called with. Whose memory it lies in tells the rest: data lie in the tensors of
the batch, fakes in what the generator returned (`detach()` shares it), and what carries a graph was made for the
generator's turn.
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

from lightning_gan.loop.penalty import PenaltyTerm
from lightning_gan.tensors.precision import full_precision

Slot: TypeAlias = int | str
"""Where an argument stands in a call: its position, or its keyword."""

Kind: TypeAlias = Literal["real", "fake", "fake with graph", "other with graph", "probe", "unknown"]
"""What the input of a critic is; a probe is a leaf that the module itself differentiates by."""


def tensors_of(collection: Any) -> Iterator[Tensor]:
    """The tensors of nested sequences, mappings and dataclasses, in order."""
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
    """Where the tensors' memory begins; views of one tensor share it."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if not isinstance(tensor, DTensor)} - {0}


def _may_be_labels(tensor: Tensor) -> bool:
    """Class indices, or one row of weights per image."""
    return tensor.dim() == (2 if tensor.is_floating_point() else 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """What a network was called with, and what it returned where that is of interest."""

    network: nn.Module
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Any = None

    @property
    def tensors(self) -> dict[Slot, Tensor]:
        """The tensors among the arguments."""
        slots: list[tuple[Slot, Any]] = [*enumerate(self.arguments), *self.keywords.items()]
        return {slot: value for slot, value in slots if isinstance(value, Tensor)}

    def storages_beside(self, slot: Slot) -> set[int]:
        """Storages of all tensors but the one at `slot`."""
        return storages(tensor for own, tensor in self.tensors.items() if own != slot)

    def label_slot(self, first: Slot) -> Slot | None:
        """Where labels stand: the only tensor besides the one at `first` that has the shape of labels."""
        found = [slot for slot, tensor in self.tensors.items() if slot != first and _may_be_labels(tensor)]
        return found[0] if len(found) == 1 else None

    def again(self, replaced: Mapping[Slot, Tensor]) -> Tensor:
        """Call the network again with some tensors replaced; the others are taken without their graphs.

        Floating-point tensors come in the precision of the weights, because autocast is off.

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
                "returns its scores or images alone"
            )
        return full_precision(output)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recognized:
    """The critic's calls of one turn, told apart.

    Attributes:
        slot: where the critic takes its images.
        kinds: what every call's images are.
        real: the call on data, None if it cannot be told.
        fake: the call on the generator's images, None if it cannot be told.
        example: the call whose other arguments go with data, None if it cannot be told.
    """

    slot: Slot
    kinds: Sequence[Kind]
    real: Call | None
    fake: Call | None
    example: Call | None


def recognize(calls: Sequence[Call], *, made: set[int], data: set[int]) -> Recognized:
    """Tell the real input of a critic from the fake one.

    One input that nothing is known of is real beside a known fake (data that were augmented or scaled), and fake beside
    known data (fakes that were augmented, or come from a pool). With two of them neither is guessed.

    Args:
        calls: with images at the same place, in order.
        made: storages of what the generator returned.
        data: storages of the batch.
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
    # Data from elsewhere go with the other arguments of a call on data, or of one whose other arguments are data.
    others = [call for call, kind in zip(calls, kinds, strict=True) if kind == "unknown"]
    example = real or next((call for call in reversed(others) if call.storages_beside(slot) <= data), None) or only
    return Recognized(slot=slot, kinds=kinds, real=real, fake=fake, example=example or (None if others else fake))


def _image_slot(calls: Sequence[Call], *, made: set[int]) -> Slot:
    """Where fakes were given; a critic may take something else first, such as the image that was translated."""
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
    """What the networks were called with while one batch was worked on, by their attribute paths, in order."""

    batch: Any
    critics: dict[str, list[Call]]
    generators: dict[str, list[Call]]

    def generator_calls(self, generator: str | None) -> list[Call]:
        """The generator's calls; none without a generator."""
        return [] if generator is None else self.generators[generator]

    def recognized(self, critic: str, generator: str | None) -> Recognized:
        """The critic's calls of the present turn, told apart."""
        made = [tensor for call in self.generator_calls(generator) for tensor in tensors_of(call.output)]
        return recognize(self.critics[critic], made=storages(made), data=storages(tensors_of(self.batch)))


@dataclass(kw_only=True, eq=False)
class Count:
    """How often a penalty could have joined a step.

    Attributes:
        batches: that the module has worked on in this fit.
        steps: of the optimizer that moves the penalty's network.
    """

    batches: int = 0
    steps: int = 0


class Observer:
    """What the networks of one LightningModule are called with.

    All penalties share it, because none may take what another one computes for a move of the module.

    Attributes:
        records: one for the present batch, after those of the batches whose gradients are accumulated with its own.
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
        return self  # a copy of a watched network brings its hooks along

    def watch(self, pl_module: LightningModule, *, critic: str | None, generator: str | None) -> None:
        """Put hooks on the networks at these attribute paths, once for each."""
        if critic is not None and critic not in self._critics:
            self._critics.append(critic)
            hook = self._critic_hook(critic)
            # Before FSDP2's own hook, which may cast the input and hide whose memory it is.
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
                if self._stepped:  # with the first look after a step another turn begins
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
        """Begin to note; whoever says it first is heard.

        Args:
            batch: what the module is about to work on.
            accumulates: whether the batches since the last step count together with this one.
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
        """Note no more, and keep what was noted for as long as it may be asked for."""
        self._watching = False
        if self._stepped or not accumulates:
            self.records.clear()

    def begin_count(self, term: PenaltyTerm) -> None:
        """Count a penalty's batches and steps from 0."""
        self._counts[term] = Count()

    def count_of(self, term: PenaltyTerm) -> Count:
        """The counts of a penalty."""
        return self._counts[term]

    def note_step(self) -> None:
        """An optimizer is about to step."""
        self._stepped = True

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing is noted."""
        watching, self._watching = self._watching, False
        try:
            yield
        finally:
            self._watching = watching


_observers: WeakKeyDictionary[LightningModule, Observer] = WeakKeyDictionary()


def observer_of(pl_module: LightningModule) -> Observer:
    """The one observer of a module, made when it is first asked for."""
    return _observers.setdefault(pl_module, Observer())


def release(pl_module: LightningModule) -> None:
    """Take a module's observer away, if it has one."""
    if (observer := _observers.pop(pl_module, None)) is not None:
        observer.remove()
