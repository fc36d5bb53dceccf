"""Training data as an endless stream that is a pure function of (seed, position).

Position counts images seen: it is an index into the infinite sequence made of one seeded permutation of the data set
per epoch. Nothing but this counter has to be saved to go on exactly, and neither workers nor ranks change what comes.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias, TypeVar, final

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_gan.data.images import ClassLabels, ImageSource, Indices
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes

Batch: TypeAlias = tuple[ImageBytes, ClassLabels]
"""What loaders yield: uint8 images and int64 class indices (zeros when there are no classes)."""

_Anything = TypeVar("_Anything")


@lru_cache(maxsize=2)  # two epochs, because a batch may touch both
def order_of_epoch(epoch: int, *, length: int, seed: int) -> Indices:
    """The order in which an epoch shows the images of a data set: a permutation. It is cached, so do not write into it.

    Args:
        epoch: 0, 1, ...
        length: images in the data set.
        seed: another seed gives another order.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    return torch.randperm(length, generator=generator)


def indices_at(position: int, *, count: int, length: int, seed: int) -> Indices:
    """The numbers of the `count` images from `position` on; they may wrap over the end of one or more epochs.

    Args:
        position: images seen before.
        count: how many to show, at least 1.
        length: images in the data set.
        seed: of the order.
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
    """Which images of the global batch at `position` are mirrored, each with probability 1/2."""
    generator = torch.Generator().manual_seed(derived_seed(seed, "mirror", position))
    return torch.randint(2, (count,), generator=generator, dtype=torch.bool)


def share_of_rank(batch_size: int, *, rank: int, world_size: int) -> slice:
    """The contiguous share of a global batch that belongs to one process.

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
    """Endlessly the (position, size) of every global batch from `position` on."""
    while True:
        size = batch_size_at(position)
        yield position, size
        position += size


def position_after(batches: int, *, start: int, batch_size_at: Callable[[int], int]) -> int:
    """The position after so many global batches from `start` on."""
    return next(islice(global_batches(start, batch_size_at=batch_size_at), batches, None))[0]


@final
class Stream(IterableDataset[Batch]):
    """Endless ready batches for one process; iterate it through `StreamLoader`.

    Args:
        source: the images.
        seed: of the order and of mirroring.
        batch_size_at: the global batch size as a function of position.
        resolution_at: the resolution as a function of position.
        mirror: whether half of the images are flipped left to right.
        labels: whether to yield the source's labels; else, or when it has none, labels are zeros.
        rank: this process, 0..world_size-1.
        world_size: how many processes share every global batch.
        start: the position to begin at.
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
        # Shared memory, because workers that persist from one epoch to the next must learn the next start.
        self._start = torch.tensor(start)
        self._start.share_memory_()  # type: ignore[no-untyped-call]

    def start_at(self, position: int) -> None:
        """The next iteration, in this process or in workers, begins at this position."""
        self._start.fill_(position)

    def batch_at(self, position: int, *, batch_size: int) -> Batch:
        """This process's share of the global batch of `batch_size` images at `position`."""
        share = share_of_rank(batch_size, rank=self.rank, world_size=self.world_size)
        indices = indices_at(position, count=batch_size, length=len(self.source), seed=self.seed)[share]
        images = self.source.read(indices, resolution=self.resolution_at(position))
        if self.mirror:
            # Drawn for the global batch and then shared, so that the number of processes does not matter.
            mirrored = mirrored_at(position, count=batch_size, seed=self.seed)[share]
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        labels = torch.zeros(len(indices), dtype=torch.long) if self._labels is None else self._labels[indices]
        return images, labels

    def __iter__(self) -> Iterator[Batch]:
        # The loader asks worker 0 for the first batch, worker 1 for the second, and so on: taking every W-th batch
        # keeps the order. The start is read now and not at the first batch, when the loader may have moved on.
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        batches = global_batches(int(self._start), batch_size_at=self.batch_size_at)
        mine = islice(batches, first, None, step)
        return (self.batch_at(position, batch_size=batch_size) for position, batch_size in mine)


@final
class StreamLoader(DataLoader[Batch]):
    """A DataLoader that asks for the position whenever it is iterated.

    Lightning iterates a loader anew for every epoch (`limit_train_batches` ends one). A position that was fixed when
    the loader was made would show the same images again.

    Args:
        stream: the batches.
        position: gives the images seen so far.
        number_of_workers: processes that read ahead; 0 reads in this one.
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
            # Its own generator: otherwise every iteration would draw a number from the global one.
            generator=torch.Generator().manual_seed(stream.seed),
        )

    def __iter__(self) -> Any:
        self.stream.start_at(self.position())
        return super().__iter__()


def unchanged(batch: _Anything) -> _Anything:
    """Collates nothing: batches are ready. A function, because workers must be able to pickle it."""
    return batch
