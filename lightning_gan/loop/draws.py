"""The inputs of a turn: the real samples (`Reals`), and the random numbers that fakes are made from (`Draws`).

Both are frozen dataclasses of tensors with one row per sample, which the loop divides into turns, slices and ranks. A
model that draws more than latents, or whose batches contain more than images and labels, derives from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import FakeLabels, FakeLatents, Images, Labels

RowsT = TypeVar("RowsT", bound="Rows")


class Rows:
    """Base class of frozen dataclasses of tensors that all have one row per sample.

    A field is a tensor, a tuple of tensors, another `Rows`, or None. `len` is the number of samples.
    """

    def __len__(self) -> int:
        for name in self._names():
            if (value := getattr(self, name)) is not None:
                return len(value)
        raise ValueError(f"{type(self).__name__} has no tensors, so that it has no number of samples")

    def rows(self: RowsT, start: int, stop: int) -> RowsT:
        """The samples from index `start` up to but not including index `stop`."""
        if (start, stop) == (0, len(self)):
            return self  # as in most turns: one slice, one rank
        cut = {name: _cut(getattr(self, name), start, stop) for name in self._names()}
        return replace(self, **cut)  # type: ignore[type-var]

    def chunk(self: RowsT, pieces: int) -> list[RowsT]:
        """The samples in `pieces` parts of equal size, in order. Their number must be a multiple of `pieces`."""
        if pieces == 1:
            return [self]
        size = len(self) // pieces
        return [self.rows(piece * size, (piece + 1) * size) for piece in range(pieces)]

    def _names(self) -> tuple[str, ...]:
        return _field_names(type(self))  # type: ignore[arg-type]  # mypy takes an instance's hash for that of its class


@cache
def _field_names(rows: type[Rows]) -> tuple[str, ...]:
    """The names of the fields, which are asked for several times in every batch."""
    return tuple(field.name for field in fields(rows))  # type: ignore[arg-type]


def _cut(value: Any, start: int, stop: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Rows):
        return value.rows(start, stop)
    if isinstance(value, tuple):
        return tuple(part[start:stop] for part in value)
    return value[start:stop]


@dataclass(frozen=True, kw_only=True)
class Reals(Rows):
    """The real samples of a batch, prepared for the discriminator.

    Attributes:
        images: real images in [-1, 1], `batch channels height width`, at the active resolution.
        labels: class indices or multi-hot rows; None if the model has no classes.
    """

    images: Images
    labels: Labels | None


@dataclass(frozen=True, kw_only=True)
class Draws(Rows):
    """The random numbers and the labels that the fakes of one turn are made from.

    Attributes:
        latents: latents of the fakes, `fakes latent_dim`.
        labels: classes of the fakes; None if the model has no classes.
    """

    latents: FakeLatents
    labels: FakeLabels | None


Leftover = tuple[Tensor, ...]
"""Tensors, with one row per sample, that a turn passes on to the next turn of the same batch. Most models pass none."""


def joined(leftovers: Sequence[Leftover]) -> Leftover:
    """Concatenate what the slices of a turn pass on, in order.

    Args:
        leftovers: one tuple of tensors per slice, all of the same length.

    Example:
        >>> joined([(torch.tensor([1]), torch.tensor([2])), (torch.tensor([3]), torch.tensor([4]))])
        (tensor([1, 3]), tensor([2, 4]))
        >>> joined([(), ()])
        ()
    """
    return tuple(torch.cat(parts) for parts in zip(*leftovers, strict=True))
