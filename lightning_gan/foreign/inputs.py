"""Images among the recorded inputs of a discriminator, and where a user says that they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_gan.foreign.calls import Call, Seen, check_unchanged, storage_of
from lightning_gan.foreign.observer import MarkKind
from lightning_gan.foreign.structures import shape_text

Choice: TypeAlias = Callable[[Any], Tensor] | int | list[int] | None
"""How a user says which images are real or fake: a function of the batch, or numbers of the discriminator's calls."""


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """What a user says of the inputs and outputs of a discriminator.

    Attributes:
        image: place of the images among the arguments.
        real: function that takes the real images out of a batch, or numbers of the calls on them.
        fake: function that takes the fakes out of a batch, or numbers of the calls on them.
        mean_over_calls: whether a penalty is the mean over all real (fake) inputs if there are several.
    """

    image: str | None = None
    real: Choice = None
    fake: Choice = None
    mean_over_calls: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Input:
    """Images that a discriminator was called with, and the call.

    Attributes:
        call: the call, whose other arguments go with the images.
        place: place of the images among its arguments.
        rows: which samples of the call they are.
        marked: images that were concatenated with others before the call; None if they are an argument of it.
    """

    call: Call
    place: str
    rows: slice = field(default_factory=lambda: slice(None))
    marked: Seen | None = None

    @property
    def images(self) -> Tensor:
        """The images, detached.

        Raises:
            ValueError: if they were changed in place after the call.
        """
        seen = self.call.seen[self.place] if self.marked is None else self.marked
        check_unchanged(seen, self.place)
        return (seen.tensor if self.marked is not None else seen.tensor[self.rows]).detach()

    def again(self, images: Tensor) -> Any:
        """The discriminator's output for other images, with the arguments that go with the first of these.

        Args:
            images: other images, at most as many.
        """
        own = self.call.seen[self.place].tensor
        start = self.rows.indices(len(own))[0]
        images = images.reshape(len(images), *own.shape[1:])
        return self.call.again({self.place: images}, rows=slice(start, start + len(images)), samples=len(own))

    def is_same(self, other: "Input") -> bool:
        """Whether both are the same images with the same other arguments."""
        if self.marked is not None or other.marked is not None:
            return self.marked is other.marked
        return self.place == other.place and self.rows == other.rows and self.call.is_same(other.call)


def rows_within(part: Seen, whole: Seen) -> slice | None:
    """The rows of a tensor that another tensor is, or None if it is no such part of the same memory.

    Args:
        part: tensor that may be some rows.
        whole: tensor that may have these rows.
    """
    mine, others = part.tensor, whole.tensor
    storage = storage_of(mine)
    if storage is None or storage_of(others) is not storage or mine.dtype != others.dtype:
        return None
    if part.geometry == whole.geometry:
        return slice(None)
    if not mine.dim() or mine.shape[1:] != others.shape[1:] or mine.stride() != others.stride():
        return None
    start, rest = divmod(int(mine.storage_offset()) - int(others.storage_offset()), others.stride()[0] or 1)
    return None if rest or start < 0 or start + len(mine) > len(others) else slice(start, start + len(mine))


def without_doubles(inputs: Sequence[Input]) -> list[Input]:
    """Inputs of which each counts once.

    Args:
        inputs: inputs of one discriminator.
    """
    kept: list[Input] = []
    for own in inputs:
        if not any(own.is_same(other) for other in kept):
            kept.append(own)
    return kept


class FoundInputs:
    """Where the images that a user's functions take out of the batch are among the inputs of a discriminator.

    The first turn compares their values with all inputs. Later turns compare them with the same call only, and on the
    device, so that nothing waits for it; `check` reads the result.
    """

    def __init__(self) -> None:
        self._places: dict[MarkKind, tuple[int, bool]] = {}  # number of the call, and whether they are its last rows
        self._differs: dict[MarkKind, Tensor] = {}

    def located(
        self, which: MarkKind, images: Any, *, asker: str, inputs: Sequence[Input], seen: Callable[[], str]
    ) -> Input:
        """The input that a user's function has taken out of the batch.

        Args:
            which: kind of the images.
            images: what the function has returned.
            asker: name of the penalty, for error messages.
            inputs: inputs of the discriminator in this turn.
            seen: function that describes the inputs, for error messages.

        Raises:
            ValueError: if the discriminator was not called with these images.
        """
        if not isinstance(images, Tensor):
            raise ValueError(f"the function {which}=... returns a {type(images).__name__} and no tensor")
        shapes = [own.images.shape[1:] for own in inputs]
        if images.shape[1:] not in shapes:
            raise ValueError(
                f"the function {which}=... returns {shape_text(images)}, but {seen()}; return the images in the shape "
                "and layout in which the discriminator gets them"
            )
        images = images.detach()
        if which in self._places:
            number, is_end = self._places[which]
            if number < len(inputs) and (part := _rows(inputs[number], images, is_end=is_end)) is not None:
                differs = ~_close(part.images, images)
                self._differs[which] = differs | self._differs.get(which, torch.zeros_like(differs))
                return part
        for number, own in enumerate(inputs):
            for is_end in (False, True):
                part = _rows(own, images, is_end=is_end)
                if part is not None and bool(_close(part.images, images)):
                    self._places[which] = number, is_end
                    return part
        raise ValueError(
            f"the function {which}=... returns images that the discriminator was not called with in this turn: "
            f"{seen()}; return them as it gets them, with the same normalization, or, if the step draws random "
            f"numbers for them, say by these numbers which call has them, {asker}({which}=...), or mark them in the "
            f"step: `from lightning_gan import {which}`, then discriminator({which}(x))"
        )

    def check(self, asker: str) -> None:
        """Check the comparisons of earlier turns. This waits for the device.

        Raises:
            ValueError: if a function has returned other images than the discriminator was called with.
        """
        for which, differs in self._differs.items():
            if bool(differs):
                raise ValueError(
                    f"{asker}: the function {which}=... returned images that the discriminator was not called with in "
                    "one of the last turns, unlike in the first; mark the images in the step: `from lightning_gan "
                    f"import {which}`, then discriminator({which}(x))"
                )
        self._differs.clear()


def _rows(own: Input, images: Tensor, *, is_end: bool) -> Input | None:
    """The first or the last rows of an input, as many as there are images; None if the shapes differ."""
    theirs = own.call.seen[own.place].tensor
    if theirs.shape[1:] != images.shape[1:] or len(theirs) < len(images):
        return None
    if len(theirs) == len(images):
        return own
    start = len(theirs) - len(images) if is_end else 0
    return Input(call=own.call, place=own.place, rows=slice(start, start + len(images)))


def _close(first: Tensor, second: Tensor) -> Tensor:
    """Whether all values are equal to rounding, as a tensor on their device."""
    floats = [tensor.dtype for tensor in (first, second) if tensor.is_floating_point()]
    tolerance = 16 * max(torch.finfo(dtype).eps for dtype in floats) if floats else 0.0
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    return torch.isclose(first.to(dtype), second.to(dtype), rtol=tolerance, atol=tolerance).all()
