"""Training data as an endless stream that is a pure function of (seed, position).

The position is the number of images seen. It is an index into an infinite sequence that has one seeded permutation of
the data set per epoch. An exact resume needs only this number, and the sequence does not depend on workers or ranks.
"""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, final

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_gan.data.crops import RandomCrops, places_at
from lightning_gan.data.images import ImageSource, Indices
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Labels, StoredImages

Batch: TypeAlias = tuple[StoredImages, Labels]
"""Images, `batch channels height width`, uint8 or float in [-1, 1], and labels.

Labels are class indices (zeros without labels) or float rows of numbers."""

_Anything = TypeVar("_Anything")

_PACKAGE = Path(__file__).parents[1]


@final
@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a process that reads ahead sends in place of a batch that it cannot read.

    An error that it raised would reach the user with the traceback of that process, in another form.

    Args:
        reason: the message of the error.
    """

    reason: str


def read_or_refused(read: Callable[[], Batch]) -> Batch | Refusal:
    """Returns a batch; in a process that reads ahead, a `Refusal` in place of a ValueError of this package.

    Args:
        read: reads the batch.
    """
    try:
        return read()
    except ValueError as error:
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        if get_worker_info() is None or not Path(raised_in).is_relative_to(_PACKAGE):
            raise
        return Refusal(reason=str(error))


@lru_cache(maxsize=2)  # two epochs, because a batch may touch both
def order_of_epoch(epoch: int, *, length: int, seed: int) -> Indices:
    """Returns the order of the images in an epoch, a permutation. It is cached, so do not write into it.

    Args:
        epoch: number of the epoch, from 0 on.
        length: number of images in the data set.
        seed: seed of the order.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    return torch.randperm(length, generator=generator)


def indices_at(position: int, *, count: int, length: int, seed: int) -> Indices:
    """Returns the numbers of the `count` images from `position` on; they may go on into the next epochs.

    Args:
        position: number of images seen before.
        count: number of images to return, at least 1.
        length: number of images in the data set.
        seed: seed of the order.
    """
    parts = []
    while count > 0:
        epoch, offset = divmod(position, length)
        part = order_of_epoch(epoch, length=length, seed=seed)[offset : offset + count]
        parts.append(part)
        position += len(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def mirrored_at(position: int, *, count: int, seed: int) -> Bool[Tensor, " batch"]:
    """Returns which images of the global batch at `position` are mirrored, each with probability 1/2.

    Args:
        position: number of images seen before the batch.
        count: number of images in the batch.
        seed: seed of mirroring.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "mirror", position))
    return torch.randint(2, (count,), generator=generator, dtype=torch.bool)


def share_of_rank(batch_size: int, *, rank: int, world_size: int) -> slice:
    """Returns the contiguous share of a global batch that belongs to one process.

    Args:
        batch_size: global batch size.
        rank: number of the process, 0..world_size-1.
        world_size: number of processes.

    Raises:
        ValueError: if the batch cannot be shared equally.

    Example:
        >>> share_of_rank(16, rank=1, world_size=4)
        slice(4, 8, None)
    """
    if batch_size < 1 or batch_size % world_size != 0:
        raise ValueError(
            f"the global batch size {batch_size} cannot be shared equally by {world_size} processes; "
            f"give a multiple of {world_size}"
        )
    share = batch_size // world_size
    return slice(rank * share, (rank + 1) * share)


def global_batches(position: int, *, batch_size_at: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Yields endlessly the (position, size) of every global batch from `position` on.

    Args:
        position: number of images seen before the first batch.
        batch_size_at: global batch size as a function of the position.
    """
    while True:
        size = batch_size_at(position)
        yield position, size
        position += size


def position_after(batches: int, *, start: int, batch_size_at: Callable[[int], int]) -> int:
    """Returns the position after `batches` global batches from `start` on.

    Args:
        batches: number of batches.
        start: position before the first of them.
        batch_size_at: global batch size as a function of the position.
    """
    return next(islice(global_batches(start, batch_size_at=batch_size_at), batches, None))[0]


@final
class Stream(IterableDataset[Batch | Refusal]):
    """Endless ready batches for one process; iterate it through `StreamLoader`.

    Args:
        source: the images; `RandomCrops` are cut at random places, other images are read as they are.
        seed: seed of the order, of mirroring and of random crops.
        batch_size_at: global batch size as a function of the position.
        resolution_at: resolution in pixels as a function of the position.
        mirror: whether half of the images are flipped left to right.
        labels: whether to yield the source's labels; if not, or if the source has none, labels are zeros.
        rank: number of this process, 0..world_size-1.
        world_size: number of processes that share every global batch.
        start: position to begin at.
    """

    def __init__(
        self,
        *,
        source: ImageSource,
        seed: int,
        batch_size_at: Callable[[int], int],
        resolution_at: Callable[[int], int],
        mirror: bool,
        labels: bool = True,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        self.source = source
        self.seed = seed
        self.batch_size_at = batch_size_at
        self.resolution_at = resolution_at
        self.mirror = mirror
        self.rank = rank
        self.world_size = world_size
        self._labels = source.labels if labels else None
        # In shared memory, because workers that persist from one epoch to the next must get the next start.
        self._start = torch.tensor(start)
        self._start.share_memory_()  # type: ignore[no-untyped-call]

    def start_at(self, position: int) -> None:
        """Makes the next iteration, in this process or in workers, begin at this position."""
        self._start.fill_(position)

    def batch_at(self, position: int, *, batch_size: int) -> Batch:
        """Returns this process's share of the global batch of `batch_size` images at `position`."""
        share = share_of_rank(batch_size, rank=self.rank, world_size=self.world_size)
        indices = indices_at(position, count=batch_size, length=len(self.source), seed=self.seed)[share]
        resolution = self.resolution_at(position)
        # Drawn for the global batch and then cut, so that the result does not depend on the number of processes.
        if isinstance(self.source, RandomCrops):
            places = places_at(position, count=batch_size, seed=self.seed)[share]
            images = self.source.cut(indices, places=places, resolution=resolution)
        else:
            images = self.source.read(indices, resolution=resolution)
        if self.mirror:
            mirrored = mirrored_at(position, count=batch_size, seed=self.seed)[share]
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        labels = torch.zeros(len(indices), dtype=torch.long) if self._labels is None else self._labels[indices]
        return images, labels

    def __iter__(self) -> Iterator[Batch | Refusal]:
        # The loader asks worker 0 for the first batch, worker 1 for the second, and so on: taking every W-th batch
        # keeps the order. The start is read now and not at the first batch, when the loader may have moved on.
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        batches = global_batches(int(self._start), batch_size_at=self.batch_size_at)
        mine = islice(batches, first, None, step)
        return (
            read_or_refused(partial(self.batch_at, position, batch_size=batch_size)) for position, batch_size in mine
        )


class BatchLoader(DataLoader[Any]):
    """A DataLoader of ready batches that raises in this process what a process that reads ahead refused."""

    def __iter__(self) -> Any:
        return _without_refusals(super().__iter__())


def _without_refusals(batches: Iterator[Any]) -> Iterator[Batch]:
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise ValueError(
                f"a process that reads images ahead was ended ({str(error).splitlines()[0]}); lower number_of_workers "
                "(--data.number_of_workers), 0 reads in the training process, or make more memory free"
            ) from error
        if isinstance(batch, Refusal):
            raise ValueError(batch.reason)
        yield batch


@final
class StreamLoader(BatchLoader):
    """A DataLoader that reads the current position whenever an iteration begins.

    Lightning begins a new iteration for every epoch (`limit_train_batches` ends one). With a position fixed when the
    loader was made, every epoch would show the same images again.

    Args:
        stream: the stream of batches.
        position: returns the number of images seen so far.
        number_of_workers: number of processes that read ahead; 0 reads in this process.
        pin_memory: whether batches are copied to page-locked memory, for a GPU.
    """

    def __init__(
        self, *, stream: Stream, position: Callable[[], int], number_of_workers: int, pin_memory: bool
    ) -> None:
        self.stream = stream
        self.position = position
        super().__init__(
            stream,
            batch_size=None,
            collate_fn=unchanged,
            num_workers=number_of_workers,
            persistent_workers=number_of_workers > 0,
            pin_memory=pin_memory,
            # A separate generator: without it every iteration would draw a number from the global one.
            generator=torch.Generator().manual_seed(stream.seed),
        )

    def __iter__(self) -> Any:
        self.stream.start_at(self.position())
        return super().__iter__()


def unchanged(batch: _Anything) -> _Anything:
    """Returns the batch as it is: the collate function of ready batches. It is a function so that it can be pickled."""
    return batch
