"""The LightningDataModule that all image data share: an endless training stream, finite passes, and an exact resume."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gan.data.images import ImageSource
from lightning_gan.data.position import batches_trained, rank_and_world_size
from lightning_gan.data.stream import Batch, Stream, StreamLoader, position_after, share_of_rank, unchanged
from lightning_gan.schedules.growth import GrowthSchedule


@final
@dataclass(frozen=True, kw_only=True)
class Pace:
    """Batch size and resolution as functions of position: constant, or as a growth schedule has them.

    Args:
        batch_size: global batch size where the schedule names none.
        image_size: resolution without a schedule.
        schedule: growing, or None.

    Raises:
        ValueError: if the schedule grows beyond the images.
    """

    batch_size: int
    image_size: int
    schedule: GrowthSchedule | None

    def __post_init__(self) -> None:
        if self.schedule is not None and self.schedule.final_resolution > self.image_size:
            raise ValueError(
                f"the schedule grows to {self.schedule.final_resolution} pixels and the images have {self.image_size}; "
                "lower final_resolution or raise the data's image_size"
            )

    def batch_size_at(self, position: int) -> int:
        """The size of the global batch that starts at `position`."""
        batch_size = None if self.schedule is None else self.schedule.batch_size_at(position)
        return self.batch_size if batch_size is None else batch_size

    def resolution_at(self, position: int) -> int:
        """The resolution of the global batch that starts at `position`."""
        return self.image_size if self.schedule is None else self.schedule.at(position).resolution


@final
class Pass(Dataset[Batch]):
    """Every image once, in order, at full resolution, as ready batches; each process has its share without duplicates.

    A process takes a contiguous part of the data set. Its batches differ by at most one image, so that all processes
    have the same number of them.

    Args:
        source: the images.
        resolution: the size to read at.
        labels: whether to yield the source's labels; else, or when it has none, labels are zeros.
        batch_size: the most images of a process's batch.
        rank: this process.
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

    def __getitem__(self, batch: int) -> Batch:
        images = self._end - self._start
        start, end = (self._start + images * part // self._batches for part in (batch, batch + 1))
        indices = torch.arange(start, end)
        labels = torch.zeros(len(indices), dtype=torch.long) if self._labels is None else self._labels[indices]
        return self._source.read(indices, resolution=self._resolution), labels


@final
@dataclass(frozen=True, kw_only=True)
class _Reached:
    """So many training batches end at this position."""

    batches: int
    position: int


_BEGINNING = _Reached(batches=0, position=0)


class GANData(LightningDataModule, ABC):
    """Images for a GAN. Subclasses say where they come from (`open_source`).

    Training batches are an endless stream: one epoch of Lightning's lasts as long as the training, so that
    validation needs `val_check_interval=<batches>, check_val_every_n_epoch=None`. The position in the stream is saved
    in images, and a resumed fit goes on with the next image, with any number of workers and processes.

    Attributes:
        image_size: full size of the images in pixels.
        image_channels: 1 grey, 3 RGB, 4 RGBA.
        number_of_classes: 0 without labels.
        schedule: growth that batch sizes and resolutions follow, or None; to be set before the loaders are made.

    Args:
        image_size: full size of the images in pixels.
        image_channels: number of channels.
        number_of_classes: 0 without labels.
        batch_size: GLOBAL batch size, over all processes.
        seed: of the order of images and of mirroring.
        mirror: whether half of the training images are flipped left to right.
        number_of_workers: processes that read ahead for each training process; 0 reads in the training process.

    Raises:
        ValueError: if a number is out of range.
    """

    schedule: GrowthSchedule | None

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        batch_size: int,
        seed: int,
        mirror: bool,
        number_of_workers: int,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        if number_of_workers < 0:
            raise ValueError(
                f"number_of_workers={number_of_workers} must not be negative; 0 reads in the training process"
            )
        self.image_size = image_size
        self.image_channels = image_channels
        self.number_of_classes = number_of_classes
        self.batch_size = batch_size
        self.seed = seed
        self.mirror = mirror
        self.number_of_workers = number_of_workers
        self.schedule = None
        self._source: ImageSource | None = None
        self._reached = _BEGINNING

    @abstractmethod
    def open_source(self) -> ImageSource:
        """The images. It is called once in each process, before training or evaluation begins."""

    @property
    def source(self) -> ImageSource:
        """The images, opened when they are needed first."""
        if self._source is None:
            self._source = self.open_source()
        return self._source

    @property
    def pace(self) -> Pace:
        """Batch sizes and resolutions, by the schedule if there is one."""
        return Pace(batch_size=self.batch_size, image_size=self.image_size, schedule=self.schedule)

    @property
    def position(self) -> int:
        """Images handed to completed training batches, over all processes: where the stream goes on."""
        batches = batches_trained(self.trainer)
        # Fewer than we know of: a checkpoint was loaded into this object, and Lightning's own counters follow later.
        if batches > self._reached.batches:
            position = position_after(
                batches - self._reached.batches, start=self._reached.position, batch_size_at=self.pace.batch_size_at
            )
            self._reached = _Reached(batches=batches, position=position)
        return self._reached.position

    def setup(self, stage: str) -> None:
        """Opens the images, so that what is wrong with them is told before anything begins."""
        if stage == "fit" and batches_trained(self.trainer) < self._reached.batches:
            self._reached = _BEGINNING  # another trainer, another training; a checkpoint is loaded after this hook
        assert len(self.source) > 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """The endless stream.

        Raises:
            ValueError: if a batch size cannot be shared equally by the processes.
        """
        rank, world_size = rank_and_world_size(self.trainer)
        scheduled = [] if self.schedule is None else self.schedule.batch_sizes.values()
        for batch_size in (self.batch_size, *scheduled):
            share_of_rank(batch_size, rank=rank, world_size=world_size)
        stream = Stream(
            source=self.source,
            seed=self.seed,
            batch_size_at=self.pace.batch_size_at,
            resolution_at=self.pace.resolution_at,
            mirror=self.mirror,
            labels=self.number_of_classes > 0,
            rank=rank,
            world_size=world_size,
        )
        return StreamLoader(
            stream=stream,
            position=lambda: self.position,
            number_of_workers=self.number_of_workers,
            pin_memory=self._trains_on_cuda(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """All images once, in order, at full resolution, never mirrored."""
        rank, world_size = rank_and_world_size(self.trainer)
        images = Pass(
            source=self.source,
            resolution=self.image_size,
            labels=self.number_of_classes > 0,
            batch_size=max(self.batch_size // world_size, 1),
            rank=rank,
            world_size=world_size,
        )
        return DataLoader(
            images,
            batch_size=None,
            collate_fn=unchanged,
            # A sampler that is distributed already (over one process: the pass holds this rank's share only) is left
            # alone by Lightning's use_distributed_sampler, which would share the share again.
            sampler=DistributedSampler(images, num_replicas=1, rank=0, shuffle=False),
            num_workers=self.number_of_workers,
            pin_memory=self._trains_on_cuda(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def test_dataloader(self) -> DataLoader[Batch]:
        """The same as for validation."""
        return self.val_dataloader()

    def state_dict(self) -> dict[str, int]:
        """The position, and what it belongs to."""
        position = self.position
        return {"batches": self._reached.batches, "position": position, "length": len(self.source)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Makes training go on at the saved position.

        Raises:
            ValueError: if the checkpoint was trained on another number of images, unless it is only being evaluated.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return
        if state_dict["length"] != len(self.source):
            raise ValueError(
                f"the checkpoint was trained on {state_dict['length']} images and the data now has {len(self.source)}, "
                "so training cannot go on in the same order; give the same data, or start anew with the saved weights"
            )
        self._reached = _Reached(batches=state_dict["batches"], position=state_dict["position"])

    def _trains_on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
