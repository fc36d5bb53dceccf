"""What a turn is about: a batch's real samples, and what is drawn for the fakes.

Both are frozen dataclasses of tensors with a row for each sample, which are cut into turns, slices and shares of ranks
in one place. A model that draws more than latents, or whose batches hold more than images, derives from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import FakeLabels, FakeLatents, Images, Labels

RowsT = TypeVar("RowsT", bound="Rows")


class Rows:
    """A frozen dataclass of tensors with as many rows each.

    A field is a tensor, a tuple of tensors, another dataclass of this kind, or None.
    """

    def __len__(self) -> int:
        return next(len(value) for value in self._values().values() if value is not None)

    def rows(self: RowsT, start: int, stop: int) -> RowsT:
        """The samples from `start` up to, not including, `stop`."""
        cut = {name: _cut(value, start, stop) for name, value in self._values().items()}
        return replace(self, **cut)  # type: ignore[type-var]

    def chunk(self: RowsT, pieces: int) -> list[RowsT]:
        """The samples in `pieces` parts of one size, in order; their number must be a multiple of `pieces`."""
        size = len(self) // pieces
        return [self.rows(piece * size, (piece + 1) * size) for piece in range(pieces)]

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


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
    """The real samples of a batch, ready for the discriminator.

    Attributes:
        images: `batch channels height width`, in [-1, 1], at the active resolution.
        labels: class indices or multi-hot rows, None without classes.
    """

    images: Images
    labels: Labels | None


@dataclass(frozen=True, kw_only=True)
class Draws(Rows):
    """What is drawn for the fakes of one turn.

    Attributes:
        latents: the generator's inputs, `fakes latent_dim`.
        labels: the classes that the fakes are made for, None without classes.
    """

    latents: FakeLatents
    labels: FakeLabels | None


Leftover = tuple[Tensor, ...]
"""Tensors with a row for each sample that a player's turn leaves for the next turn of the same batch; often none."""


def joined(leftovers: Sequence[Leftover]) -> Leftover:
    """What all slices of a turn have left, in order.

    Example:
        >>> joined([(torch.tensor([1]), torch.tensor([2])), (torch.tensor([3]), torch.tensor([4]))])
        (tensor([1, 3]), tensor([2, 4]))
        >>> joined([(), ()])
        ()
    """
    return tuple(torch.cat(parts) for parts in zip(*leftovers, strict=True))
