"""Records the calls of the networks of any LightningModule, so that penalties can repeat them before a step.

Records hold detached tensors and weak references to memory, and no graphs.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_gan.compat import uncompiled, wrap_compiled_call
from lightning_gan.foreign.calls import Call, Made, Seen
from lightning_gan.foreign.graphs import depends_on
from lightning_gan.foreign.structures import tensors_of

MarkKind: TypeAlias = Literal["real", "fake"]
"""What a training step says of a tensor that it marks."""

CallHook: TypeAlias = Callable[..., None]
"""A hook of a network: a function of (network, arguments, keywords), and of the output if it runs after the call."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark:
    """A tensor that the training step has marked as real or fake.

    Attributes:
        kind: what the tensor is.
        seen: the tensor when it was marked.
        turn: number of optimizer steps before.
    """

    kind: MarkKind
    seen: Seen
    turn: int


@dataclass(kw_only=True, eq=False)
class Record:
    """What was recorded during one batch, in order.

    Attributes:
        batch: batch of the module.
        data: tensors of the batch when it began.
        critics: calls of discriminators since the last step of an optimizer, by their attribute paths.
        generators: calls of generators during the batch, by their attribute paths.
        marks: tensors that the training step has marked.
    """

    batch: Any
    data: Sequence[Seen]
    critics: dict[str, list[Call]]
    generators: dict[str, list[Call]]
    marks: list[Mark] = field(default_factory=list)

    def made(self, generator: str | None) -> list[Made]:
        """All outputs of the generator at an attribute path; an empty list if the path is None."""
        return [made for call in self.calls_of(generator) for made in call.made.values()]

    def calls_of(self, generator: str | None) -> list[Call]:
        """The calls of the generator at an attribute path; an empty list if the path is None."""
        return [] if generator is None else self.generators[generator]


class Observer:
    """Records the calls of the networks of one LightningModule.

    All penalties share one observer, so that it does not record the forward passes of penalties as calls of the module.

    Attributes:
        records: records of the batches whose gradients are accumulated; the last one is that of the present batch.
        image_places: places at which a discriminator was called with images of the generator in the generator's turn,
            by the discriminator's attribute path. They are searched until one is found.
        turn: number of optimizer steps so far.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.image_places: dict[str, set[str]] = {}
        self.turn = 0
        self._critics: list[str] = []
        self._generators: list[str] = []
        self._generated_by: set[int] = set()  # the identities of the generators' parameters
        self._removals: list[Callable[[], None]] = []
        self._watching = False
        self._stepped = False

    @property
    def is_watching(self) -> bool:
        """Whether calls are recorded at present, so that they are calls of the module and not of a penalty."""
        return self._watching

    def __deepcopy__(self, memo: dict[int, Any]) -> "Observer":
        return self  # a copy of a network has the same hooks, which use this observer

    def watch_discriminator(self, pl_module: LightningModule, path: str) -> None:
        """Record the calls of the discriminator at an attribute path from now on. A second call has no effect.

        Args:
            pl_module: module that contains the network.
            path: attribute path of the network.
        """
        if path in self._critics:
            return
        self._critics.append(path)
        network = pl_module.get_submodule(path)
        names = names_of_arguments(network)

        def note(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            # If another module is compiled that calls the network, the call cannot be recorded.
            if not torch.compiler.is_compiling() and self._watching and torch.is_grad_enabled():
                self._begin_turn()
                call = Call.of(network, arguments, keywords, names=names, turn=self.turn)
                self.records[-1].critics[path].append(call)
                if path not in self.image_places and len(call.floating) > 1:
                    self._learn_image_place(path, arguments, keywords, call)

        self._observe(network, before=note)

    def watch_generator(self, pl_module: LightningModule, path: str) -> None:
        """Record the calls of the generator at an attribute path from now on. A second call has no effect.

        Args:
            pl_module: module that contains the network.
            path: attribute path of the network.
        """
        if path in self._generators:
            return
        self._generators.append(path)
        network = pl_module.get_submodule(path)
        self._generated_by |= {id(parameter) for parameter in network.parameters()}
        names = names_of_arguments(network)

        def note(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            if not torch.compiler.is_compiling() and self._watching:
                call = Call.of(network, arguments, keywords, names=names, turn=self.turn, output=output)
                self.records[-1].generators[path].append(call)

        self._observe(network, after=note)

    def _observe(self, network: nn.Module, *, before: CallHook | None = None, after: CallHook | None = None) -> None:
        """Call a function before or after every call of a network, around the compiled call if there is one."""

        def wrap(compiled: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(compiled)
            def noted(*arguments: Any, **keywords: Any) -> Any:
                if before is not None:
                    before(network, arguments, keywords)
                output = compiled(*arguments, **keywords)
                if after is not None:
                    after(network, arguments, keywords, output)
                return output

            return noted

        restore = wrap_compiled_call(network, wrap)
        if restore is not None:
            self._removals.append(restore)
            return
        if before is not None:
            # The hook runs before that of FSDP2, which may cast the input and thus change its memory.
            self._removals.append(network.register_forward_pre_hook(before, prepend=True, with_kwargs=True).remove)
        if after is not None:
            self._removals.append(network.register_forward_hook(after, with_kwargs=True).remove)

    def _begin_turn(self) -> None:
        """Forget the calls of the discriminators before the last step, if this is the first call after it."""
        if self._stepped:
            self._stepped = False
            for calls in self.records[-1].critics.values():
                calls.clear()

    def _learn_image_place(self, path: str, arguments: tuple[Any, ...], keywords: dict[str, Any], call: Call) -> None:
        """Note which arguments were computed by the generator with a graph, as its images are in its own turn."""
        attached = [*zip(call.seen, tensors_of((arguments, keywords)), strict=True)]
        found = {
            place
            for place, tensor in attached
            if place in call.floating and tensor.grad_fn is not None and depends_on(tensor, self._generated_by)
        }
        if found:
            self.image_places[path] = found

    def note_mark(self, kind: MarkKind, tensor: Tensor) -> None:
        """Note a tensor that the training step has marked.

        Args:
            kind: what the tensor is.
            tensor: the tensor.
        """
        if self._watching:
            self.records[-1].marks.append(Mark(kind=kind, seen=Seen.of(tensor), turn=self.turn))

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
        self.records.append(
            Record(
                batch=batch,
                data=[Seen.of(tensor) for tensor in tensors_of(batch)],
                critics={path: [] for path in self._critics},
                generators={path: [] for path in self._generators},
            )
        )

    def end_batch(self, *, accumulates: bool) -> None:
        """Stop recording, and delete the records if the next step does not need them.

        Args:
            accumulates: True if gradients of all batches since the last step are accumulated.
        """
        self._watching = False
        if self._stepped or not accumulates:
            self.records.clear()

    def note_step(self) -> None:
        """Note that an optimizer is about to step. Every penalty calls this method."""
        if not self._stepped:
            self.turn += 1
        self._stepped = True

    def remove(self) -> None:
        """Stop to watch the networks."""
        for removal in self._removals:
            removal()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context manager inside of which no calls are recorded."""
        watching, self._watching = self._watching, False
        try:
            yield
        finally:
            self._watching = watching


def names_of_arguments(network: nn.Module) -> tuple[str, ...]:
    """The names of the positional arguments of a network.

    Example:
        >>> names_of_arguments(nn.Bilinear(1, 1, 1))
        ('input1', 'input2')
    """
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(uncompiled(network).forward).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind in positional)


_observers: WeakKeyDictionary[LightningModule, Observer] = WeakKeyDictionary()


def observer_of(pl_module: LightningModule) -> Observer:
    """The observer of a module. The first call creates it."""
    return _observers.setdefault(pl_module, Observer())


def release(pl_module: LightningModule) -> None:
    """Delete a module's observer, if it has one, and stop to watch its networks."""
    if (observer := _observers.pop(pl_module, None)) is not None:
        observer.remove()


def note_mark(kind: MarkKind, tensor: Tensor) -> None:
    """Note a tensor that a training step has marked, in the record of the module that trains.

    Args:
        kind: what the tensor is.
        tensor: the tensor.
    """
    for observer in list(_observers.values()):
        observer.note_mark(kind, tensor)
