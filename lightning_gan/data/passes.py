"""A pass over a data set: every image once, for validation and for measuring."""

from functools import partial
from itertools import pairwise
from typing import final

import torch
from torch.utils.data import Dataset

from lightning_gan.data.images import ImageSource
from lightning_gan.data.stream import Batch, Refusal, read_or_refused


@final
class Pass(Dataset[Batch | Refusal]):
    """Every image once, in order, at one resolution, as ready batches; each process has its share without duplicates.

    The share of a process is a contiguous part of the data set. All processes have the same number of batches; the
    sizes of a process's batches differ by at most one image.

    Args:
        source: the images.
        resolution: height in pixels to read the images at.
        labels: whether to yield the source's labels; if not, or if the source has none, labels are zeros.
        batch_size: largest number of images in a process's batch.
        rank: number of this process, 0..world_size-1.
        world_size: number of processes.
    """

    def __init__(
        self, *, source: ImageSource, resolution: int, labels: bool, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._source = source
        self._resolution = resolution
        self._labels = source.labels if labels else None
        bounds = [len(source) * process // world_size for process in range(world_size + 1)]
        largest_share = max(end - start for start, end in pairwise(bounds))
        self._start, self._end = bounds[rank], bounds[rank + 1]
        self._batches = -(-largest_share // batch_size)

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, batch: int) -> Batch | Refusal:
        return read_or_refused(partial(self._read, batch))

    def _read(self, batch: int) -> Batch:
        images = self._end - self._start
        start, end = (self._start + images * part // self._batches for part in (batch, batch + 1))
        indices = torch.arange(start, end)
        labels = torch.zeros(len(indices), dtype=torch.long) if self._labels is None else self._labels[indices]
        return self._source.read(indices, resolution=self._resolution), labels
