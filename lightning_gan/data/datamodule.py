"""The base class of image data modules: an endless training stream, finite passes, and an exact resume."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
from lightning.fabric.utilities import suggested_max_num_workers
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gan.data.crops import RandomCrops, crops_of_images, larger, size_to_read
from lightning_gan.data.dequantization import dequantized
from lightning_gan.data.description import description_of
from lightning_gan.data.identity import Identity, identity_of
from lightning_gan.data.images import ImageSource, PixelSize, pixel_size
from lightning_gan.data.passes import Pass
from lightning_gan.data.position import batches_trained, rank_and_world_size
from lightning_gan.data.stream import (
    Batch,
    BatchLoader,
    Stream,
    StreamLoader,
    position_after,
    share_of_rank,
    unchanged,
)
from lightning_gan.data.value_range import value_range_of
from lightning_gan.data.worker_sockets import check_sockets
from lightning_gan.schedules.growth import GrowthSchedule


@final
@dataclass(frozen=True, kw_only=True)
class Pace:
    """Batch size and resolution as functions of the position: constant, or given by a growth schedule.

    Args:
        batch_size: global batch size without a schedule, or at resolutions for which the schedule gives none.
        image_size: full height of the images in pixels; the resolution without a schedule.
        schedule: growth schedule of resolutions and batch sizes; None for constant ones.
        image_width: full width of the images in pixels; None is a square.

    Raises:
        ValueError: if the schedule's final resolution is larger than the images, or a width is not a whole number.
    """

    batch_size: int
    image_size: int
    schedule: GrowthSchedule | None
    image_width: int | None = None

    def __post_init__(self) -> None:
        if self.schedule is not None and self.schedule.final_resolution > self.image_size:
            raise ValueError(
                f"the schedule grows to {self.schedule.final_resolution} pixels and the images have {self.image_size}; "
                "lower final_resolution or raise the data's image_size"
            )
        if self.schedule is not None and self.image_width is not None:
            pixel_size(self.image_size, self.image_width).at(self.schedule.at(0).resolution)

    def batch_size_at(self, position: int) -> int:
        """Returns the size of the global batch that starts at `position`."""
        batch_size = None if self.schedule is None else self.schedule.batch_size_at(position)
        return self.batch_size if batch_size is None else batch_size

    def resolution_at(self, position: int) -> int:
        """Returns the resolution in pixels of the global batch that starts at `position`."""
        return self.image_size if self.schedule is None else self.schedule.at(position).resolution


@final
@dataclass(frozen=True, kw_only=True)
class _Reached:
    """A number of training batches, and the position in images after them."""

    batches: int
    position: int


_BEGINNING = _Reached(batches=0, position=0)
_MOST_WORKERS = 8  # per training process: more processes share one disk, and send their batches to one process


class GANData(LightningDataModule, ABC):
    """Base class of data modules of images. Subclasses define `open_source`, which returns the images.

    Training batches are an endless stream: one Lightning epoch lasts as long as the training, so that validation needs
    `val_check_interval=<batches>, check_val_every_n_epoch=None`. A checkpoint contains the position in the stream in
    images, and a resumed fit goes on with the next image, with any number of workers and processes. It also contains
    the names of the classes and what identifies the images and labels (`ImageSource.origin`), and a resumed fit with
    other ones is refused. What the data became is printed in one line before training begins.

    A batch that is larger than the data set goes on with the images of the next epoch, so that images repeat in it.

    Batches are bytes in 0..255, or floats in [-1, 1] if the data have a `value_range`. With `dequantization_noise`,
    training batches become floats in about [-1, 1] when they have been copied to the device.

    Attributes:
        image_size: full height of the images in pixels.
        image_width: full width of the images in pixels; None for squares.
        size_to_read: full height in pixels of the images of `open_source`: `random_crop_from`, or `image_size` without
            random crops.
        width_to_read: full width in pixels of the images of `open_source`; None for squares.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA.
        number_of_classes: number of classes, or of numbers in a row of labels; 0 without labels.
        number_of_workers: number of processes that read ahead, as given.
        value_range: the original values that -1 and 1 of float images stand for; None for bytes.
        schedule: growth schedule of batch sizes and resolutions, or None; set it before the loaders are made.

    Args:
        image_size: full height of the images in pixels, and their width if `image_width` is not given.
        image_channels: number of channels.
        number_of_classes: number of classes, 0 without labels.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        mirror: whether half of the training images are flipped left to right.
        number_of_workers: number of processes that read ahead for each training process; 0 reads in the training
            process. None chooses 0 for images in memory, and otherwise one to eight, by the CPUs.
        random_crop_from: height in pixels of larger images of the same proportions, out of which training images are
            cut at random places, and others at the centre; None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1]; 0 adds none.
        image_width: full width of the images in pixels; None is a square.
        value_range: the original values that -1 and 1 of float images stand for, which checkpoints keep, so that
            `generate` writes such values; None for bytes.

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
        number_of_workers: int | None = None,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
        image_width: int | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        if number_of_workers is not None and number_of_workers < 0:
            raise ValueError(
                f"number_of_workers={number_of_workers} must not be negative; 0 reads in the training process"
            )
        if not 0 <= dequantization_noise < 1:
            raise ValueError(
                f"dequantization_noise={dequantization_noise} must be at least 0 and below 1; 1/128 is 0.0078125"
            )
        if dequantization_noise and value_range is not None:
            raise ValueError(
                f"dequantization_noise={dequantization_noise} fills the gaps between the levels of bytes, and images "
                f"with value_range={list(value_range)} are floats; leave one of them out"
            )
        self.value_range = value_range_of(value_range)
        self.image_size = image_size
        self.image_width = pixel_size(image_size, image_width).given_width
        self.size_to_read = size_to_read(
            image_size=image_size, random_crop_from=random_crop_from, image_width=self.image_width
        )
        self.width_to_read = larger(self.full_size, self.size_to_read).given_width
        self.dequantization_noise = dequantization_noise
        if dequantization_noise:
            # Not a method of the class, because Lightning would then never call the hook of the module.
            self.on_after_batch_transfer = self._with_noise  # type: ignore[method-assign]
        self.image_channels = image_channels
        self.number_of_classes = number_of_classes
        self.batch_size = batch_size
        self.seed = seed
        self.mirror = mirror
        self.number_of_workers = number_of_workers
        self.schedule = None
        self._source: ImageSource | None = None
        self._reached = _BEGINNING
        self._is_told = False

    @abstractmethod
    def open_source(self) -> ImageSource:
        """Returns the images. It is called once in each process, before training or evaluation begins.

        Their full size is `size_to_read` and `width_to_read`. Subclasses that cut images of other proportions return
        `RandomCrops`.
        """

    @property
    def full_size(self) -> PixelSize:
        """The full height and width of the images in pixels."""
        return pixel_size(self.image_size, self.image_width)

    @property
    def source(self) -> ImageSource:
        """The images; the first access opens them."""
        if self._source is None:
            source = self.open_source()
            if self.size_to_read != self.image_size and not isinstance(source, RandomCrops):
                source = crops_of_images(
                    source, larger_size=self.size_to_read, size=self.image_size, width=self.image_width
                )
            self._source = source
        return self._source

    @property
    def pace(self) -> Pace:
        """Batch sizes and resolutions as functions of the position, by the schedule if there is one."""
        return Pace(
            batch_size=self.batch_size,
            image_size=self.image_size,
            schedule=self.schedule,
            image_width=self.image_width,
        )

    @property
    def position(self) -> int:
        """Number of images in completed training batches, over all processes; the stream goes on from here."""
        batches = batches_trained(self.trainer)
        # Fewer than self._reached: a checkpoint was loaded into this object, and Lightning restores its counters later.
        if batches > self._reached.batches:
            position = position_after(
                batches - self._reached.batches, start=self._reached.position, batch_size_at=self.pace.batch_size_at
            )
            self._reached = _Reached(batches=batches, position=position)
        return self._reached.position

    def setup(self, stage: str) -> None:
        """Opens the images, so that errors in them are raised before training or evaluation begins."""
        if stage == "fit" and batches_trained(self.trainer) < self._reached.batches:
            self._reached = _BEGINNING  # a new training starts; a checkpoint would be loaded after this hook
        assert len(self.source) > 0
        self._tell()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Returns a loader of the endless stream.

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
            number_of_workers=self._checked_number_of_workers(),
            pin_memory=self._trains_on_cuda(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Returns a loader of all images once, in order, at full resolution, never mirrored."""
        rank, world_size = rank_and_world_size(self.trainer)
        images = Pass(
            source=self.source,
            resolution=self.image_size,
            labels=self.number_of_classes > 0,
            batch_size=max(self.batch_size // world_size, 1),
            rank=rank,
            world_size=world_size,
        )
        return BatchLoader(
            images,
            batch_size=None,
            collate_fn=unchanged,
            # Lightning's use_distributed_sampler would divide this rank's share again, but it does not change a sampler
            # that is distributed already (here over one process, because the pass holds this rank's share only).
            sampler=DistributedSampler(images, num_replicas=1, rank=0, shuffle=False),
            num_workers=self._checked_number_of_workers(),
            pin_memory=self._trains_on_cuda(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def test_dataloader(self) -> DataLoader[Batch]:
        """Returns the validation loader."""
        return self.val_dataloader()

    @cached_property
    def identity(self) -> Identity:
        """What identifies the images, their labels, classes and range of values; checkpoints contain it."""
        return identity_of(self.source, labels=self.number_of_classes > 0, value_range=self.value_range)

    def describe(self) -> str:
        """Returns what the data became, in one line: images, sizes, classes with their origin, what was left out."""
        scheduled = [] if self.schedule is None else self.schedule.batch_sizes.values()
        return description_of(
            self.source,
            name=type(self).__name__,
            size=f"{self.full_size}x{self.image_channels}"
            + (f" with values in {self.value_range}" if self.value_range is not None else ""),
            labels=self.number_of_classes > 0,
            largest_batch=max(self.batch_size, *scheduled, 0),
        )

    def _tell(self) -> None:
        """Prints, once, what the data became."""
        if not self._is_told:
            self._is_told = True
            rank_zero_info(f"data: {self.describe()}")

    def state_dict(self) -> dict[str, Any]:
        """Returns the position, the number of batches, and what identifies the data set."""
        position = self.position
        return {
            "batches": self._reached.batches,
            "position": position,
            "length": len(self.source),
            **self.identity.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the saved position, so that training goes on from there.

        Raises:
            ValueError: if the checkpoint was trained on other images or classes, unless it is only being evaluated.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return
        if state_dict["length"] != len(self.source):
            raise ValueError(
                f"the checkpoint was trained on {state_dict['length']} images and the data now has {len(self.source)}, "
                "so training cannot go on in the same order; give the same data, or begin anew with the weights (fit "
                "--weights CHECKPOINT in place of --resume or --ckpt_path)"
            )
        self.identity.check_against(state_dict)
        self._reached = _Reached(batches=state_dict["batches"], position=state_dict["position"])

    def _with_noise(self, batch: Batch, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Returns a training batch as floats with noise, and every other batch as it is."""
        images, labels = batch
        assert self.trainer is not None
        if not self.trainer.training:
            return images, labels
        if images.dtype != torch.uint8:
            raise ValueError(
                f"dequantization_noise={self.dequantization_noise} fills the gaps between the levels of bytes, and the "
                "images are floats; leave it out"
            )
        position = self.position
        batch_size = self.pace.batch_size_at(position)
        rank, world_size = rank_and_world_size(self.trainer)
        noisy = dequantized(
            images,
            width=self.dequantization_noise,
            position=position,
            batch_size=batch_size,
            share=share_of_rank(batch_size, rank=rank, world_size=world_size),
            seed=self.seed,
        )
        # Lightning has converted what was float on the host; these have been bytes until now.
        return self.trainer.precision_plugin.convert_input(noisy), labels

    def _checked_number_of_workers(self) -> int:
        """The number of processes of a loader that is made now.

        What they cannot do is refused here: what a loader raises when it is iterated, Lightning hides behind an error
        of its own.
        """
        workers = self._chosen_number_of_workers()
        if workers:
            check_sockets()
        return workers

    def _chosen_number_of_workers(self) -> int:
        if self.number_of_workers is not None:
            return self.number_of_workers
        if self.source.is_in_memory:  # sending batches from another process costs more than reading them
            return 0
        training_processes = 1 if self.trainer is None else self.trainer.num_devices
        return min(suggested_max_num_workers(training_processes), _MOST_WORKERS)

    def _trains_on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
