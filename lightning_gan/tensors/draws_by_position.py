"""Random numbers of networks and penalties that do not depend on how a batch is divided.

Within `drawing`, the numbers for all samples of a turn are drawn, and the rows of the present part are taken out.
Several processes, or several slices of a batch, then get the numbers of one process. Otherwise, and in compiled graphs,
which cannot use a generator of their own, the functions draw as PyTorch's functions do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_gan.tensors.across_ranks import mean_over_ranks, ranks
from lightning_gan.tensors.seeds import derived_seed

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Drawing:
    """The random numbers of a batch, of which a part is used.

    One process that does not divide its batch draws from PyTorch's own generator. In every other case, all parts draw
    the same numbers from a generator of their own.

    Args:
        device: device of the random numbers.
        seed: seed of the batch.
        first: index of the first part of this process.
        parts: number of parts over all processes, with equally many samples.
    """

    def __init__(self, device: torch.device, *, seed: int, first: int, parts: int) -> None:
        self.random = _own_generator(device) if parts == 1 else torch.Generator(device).manual_seed(seed)
        self.parts = parts
        self.part = first
        self.stacked = 1
        self._first = first
        self._start = self.random.get_state()

    def begin_part(self, index: int) -> None:
        """Begin a part of a turn: the first part with new numbers, the others with the numbers of the first.

        Args:
            index: index of the part among those of this process.
        """
        if index == 0:
            self._start = self.random.get_state()
        else:
            self.random.set_state(self._start)
        self.part = self._first + index

    @contextmanager
    def from_the_beginning(self) -> Iterator[None]:
        """Context manager inside of which the numbers of the part are drawn once more, from the first one on."""
        state = self.random.get_state()
        self.random.set_state(self._start)
        try:
            yield
        finally:
            self.random.set_state(state)


_drawing: ContextVar[Drawing | None] = ContextVar("drawing", default=None)


@contextmanager
def drawing(device: torch.device, *, seed: int, first: int, parts: int) -> Iterator[Drawing]:
    """Context manager inside of which the functions of this file draw by position.

    It also seeds PyTorch's own generators, differently on each process, from which other networks draw their dropout
    and noise. (`torch.manual_seed` takes 1 ms, because it formats a stack trace for every missing kind of device.)

    Args:
        device: device of the random numbers.
        seed: seed of the batch.
        first: index of the first part of this process.
        parts: number of parts over all processes, with equally many samples.

    Example:
        >>> def drawn(part: int, parts: int) -> Tensor:
        ...     with drawing(torch.device("cpu"), seed=1, first=part, parts=parts):
        ...         return normal((4 // parts, 2))
        >>> torch.equal(torch.cat([drawn(0, 2), drawn(1, 2)]), drawn(0, 1))
        True
    """
    of_process = seed if first == 0 else derived_seed("noise of a process", seed, first)
    torch.default_generator.manual_seed(of_process)
    if device.type == "cuda":
        torch.cuda.manual_seed(of_process)
    own = Drawing(device, seed=seed, first=first, parts=parts)
    token = _drawing.set(own)
    try:
        yield own
    finally:
        _drawing.reset(token)


@contextmanager
def stacked(batches: int) -> Iterator[None]:
    """Context manager inside of which samples are several batches, one behind the other, such as real and fake ones.

    Args:
        batches: number of batches of the same size.
    """
    own = _present()
    if own is None:
        yield
        return
    own.stacked, before = batches, own.stacked
    try:
        yield
    finally:
        own.stacked = before


def with_same_draws(network: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function that calls a network with the numbers that were drawn first in this turn.

    Outside of `drawing`, and in compiled graphs, new numbers are drawn.

    Args:
        network: function that draws random numbers.
    """
    # No function is defined here: a compiled turn would guard its annotations, which are new objects in every call.
    return partial(_repeated, network)


def _repeated(network: Callable[..., Result], *arguments: Any, **keywords: Any) -> Result:
    own = _present()
    if own is None:
        return network(*arguments, **keywords)
    with own.from_the_beginning():
        return network(*arguments, **keywords)


def normal(shape: Sequence[int], *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """Standard normal numbers, with one row per sample.

    Args:
        shape: shape of the result; its first dimension is the number of samples.
        dtype: dtype of the result; None is the default dtype.
        device: device of the result; None is the default device.
    """
    return _drawn(partial(torch.randn, dtype=dtype, device=device), shape)


def normal_like(tensor: Tensor) -> Tensor:
    """Standard normal numbers of a tensor's shape, dtype and device, with one row per sample."""
    return (
        torch.randn_like(tensor)
        if _present() is None
        else normal(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    )


def uniform(shape: Sequence[int], *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """Uniform numbers in [0, 1), with one row per sample.

    Args:
        shape: shape of the result; its first dimension is the number of samples.
        dtype: dtype of the result; None is the default dtype.
        device: device of the result; None is the default device.
    """
    return _drawn(partial(torch.rand, dtype=dtype, device=device), shape)


def uniform_like(tensor: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) of a tensor's shape, dtype and device, with one row per sample."""
    return (
        torch.rand_like(tensor)
        if _present() is None
        else uniform(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    )


def integers(low: int, high: int, shape: Sequence[int], *, device: torch.device) -> Tensor:
    """Integers from `low` up to but not including `high`, with one row per sample.

    Args:
        low: smallest integer.
        high: integer above the largest one.
        shape: shape of the result; its first dimension is the number of samples.
        device: device of the result.
    """
    return _drawn(partial(torch.randint, low, high, device=device), shape)


def uniform_for_all(device: torch.device) -> Tensor:
    """One uniform number in [0, 1), the same for all samples of the turn."""
    own = _present()
    return torch.rand((), device=device, generator=None if own is None else own.random)


def integer_for_all(low: int, high: int, device: torch.device) -> Tensor:
    """One integer from `low` up to but not including `high`, the same for all samples of the turn."""
    own = _present()
    return torch.randint(low, high, (), device=device, generator=None if own is None else own.random)


def dropout(features: Tensor, probability: float, *, training: bool) -> Tensor:
    """Dropout: sets every element to 0 with a probability, and divides the others by the probability to be kept.

    Args:
        features: features, `batch ...`.
        probability: probability of 0, in [0, 1).
        training: False returns the features as they are.
    """
    if not training or probability == 0 or _present() is None:
        return F.dropout(features, probability, training=training)
    kept = uniform_like(features) >= probability
    return features * kept / (1 - probability)


def mean_over_parts(values: Tensor, dim: int | None = None) -> Tensor:
    """The mean of all elements, or along a dimension, over the parts of all processes. It can be differentiated.

    Slices of one process, which are computed one after the other, have a mean each.

    Args:
        values: the elements of the present part.
        dim: dimension of the mean; None takes all elements.
    """
    mean = values.mean() if dim is None else values.mean(dim=dim)
    return mean if _present() is None else mean_over_ranks(mean)


def spread_over_parts(values: Tensor) -> Tensor:
    """The standard deviation of all elements over the parts of all processes.

    Slices of one process have a standard deviation each.

    Args:
        values: the elements of the present part.
    """
    if _present() is None or ranks() == 1:
        return values.std(correction=0)
    deviations: Tensor = (values - mean_over_parts(values)).square()
    return mean_over_parts(deviations).sqrt()


def _own_generator(device: torch.device) -> torch.Generator:
    """PyTorch's own generator of a device, or a new one where PyTorch does not show it."""
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.Generator(device)


def _present() -> Drawing | None:
    return None if torch.compiler.is_compiling() else _drawing.get()


def _drawn(draw: Callable[..., Tensor], shape: Sequence[int]) -> Tensor:
    """Random numbers of a shape: new ones, or within `drawing` the rows of the present part.

    Args:
        draw: function of PyTorch that draws numbers of a shape.
        shape: shape of the result; its first dimension is the number of samples.
    """
    own = _present()
    if own is None:
        return draw(tuple(shape))
    samples, size = shape[0], shape[0] // own.stacked
    whole = draw((samples * own.parts, *shape[1:]), generator=own.random)
    batches = whole.reshape(own.stacked, own.parts, size, *shape[1:])
    return batches[:, own.part].reshape(samples, *shape[1:])
