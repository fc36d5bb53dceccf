"""The base class of measurements that read real images, while fitting, and in `validate` and `test`."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence, Sized
from itertools import chain, islice
from typing import Any, cast

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gan.callbacks.evaluation.measurement import Measurement, skipped
from lightning_gan.callbacks.training.pauses import show_work
from lightning_gan.callbacks.training.progressive_growing import growing_of
from lightning_gan.compat import evaluation_loader
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.real_images import RealImages, RealSettings


class RealsMeasurement(Measurement):
    """A measurement that reads real images.

    While fitting it reads the validation dataloader (`validation_batches`); in `validate` and `test` it reads the
    loop's own batches. If there are several dataloaders, it reads the first.

    In a `GAN`, the real images of a batch are its first tensor with four dimensions, uint8, or float in [-1, 1]. In any
    other module they are its only tensor with four dimensions, or the result of `real`. The first batch, and in
    `Comparison` a few generated images, are looked at before training, and at the beginning of `validate` and `test`:
    images of another shape than the generated ones and values that do not look like `value_range` are refused.

    A subclass reads the loop's batches in `read`, deletes what it kept of earlier loops in `forget`, and computes its
    numbers in `measured`.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        batch_size: number of samples that each rank generates at once.
        seed: integer that determines every random choice.
        real: function that takes the real images out of a batch, `[batch, channels, height, width]`.
        value_range: lowest and highest value of float real images. None is [-1, 1], and images without negative values
            are refused, because they are probably in [0, 1].
        name: prefix of the logged names, and name of the JSON file.

    Raises:
        ValueError: for settings out of range, and before training for real images that are not understood.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None,
        batch_size: int,
        seed: int,
        real: Callable[[Any], Tensor] | None,
        value_range: Sequence[float] | None,
        name: str,
    ) -> None:
        super().__init__(every_kimg=every_kimg, batch_size=batch_size, seed=seed, name=name)
        self.real = real
        self.value_range = value_range
        self._real_settings = RealSettings(asker=self.title, real=real, value_range=value_range)

    def few_fakes(self, trainer: Trainer, module: LightningModule) -> Tensor | None:
        """Generates a few images to compare the shape of the real ones with; None if there are none."""
        return None

    @property
    @abstractmethod
    def least_reals(self) -> int:
        """The smallest number of real images, over all ranks, that the numbers can be computed from."""

    @abstractmethod
    def try_out_with(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        """Measures a few images before training, and before `validate` and `test`; every rank calls it.

        Args:
            trainer: trainer that runs the measurement.
            module: module that is measured.
            batch: this rank's first batch.

        Raises:
            ValueError: if the images cannot be measured; the message names a remedy.
        """

    @abstractmethod
    def forget(self) -> None:
        """Deletes what was read in earlier loops; called when a loop of `validate` or `test` begins."""

    @abstractmethod
    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        """Reads this rank's next batch of `validate` or `test`."""

    def can_fit(self, trainer: Trainer) -> bool:
        return evaluation_loader(trainer) is not None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning has set up the validation data only if it validates in the first epoch; otherwise do it here.
        if evaluation_loader(trainer) is None and trainer.enable_validation:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
            trainer.training = True
        super().on_train_start(trainer, pl_module)

    def prepare_fit(self, trainer: Trainer, module: LightningModule) -> None:
        if self.can_fit(trainer):
            with self.measuring(trainer, module):
                batches = validation_batches(trainer)
                first = next(batches, None)
                self._look_at_first(trainer, module, first)
                self._check_count(self._few_reals(trainer, module, chain([first], batches)))
            return
        problem = (
            f"{self.title}: there are no real images to compare with while fitting; give the module a validation_step "
            "and the run a validation dataloader, and leave limit_val_batches above 0"
        )
        if self._every_images is not None:
            raise ValueError(f"{problem}, or set every_kimg to null")
        rank_zero_warn(f"{problem}. There will be no evaluation at the end of fit")

    def begin_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().begin_loop(trainer, pl_module)
        self.forget()

    def prepare_loop(self, trainer: Trainer, module: LightningModule) -> None:
        """Does nothing, because the loop's first batch is looked at when it comes."""

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        super().loop_batch(trainer, pl_module, batch, index=index, batches=batches)
        if skipped(trainer):
            return
        if index == 0:
            with self.measuring(trainer, pl_module):
                self._look_at_first(trainer, pl_module, batch)
        self.read(trainer, pl_module, batch)

    def real_images(self, module: LightningModule) -> RealImages:
        """The object that takes the real images out of the module's batches."""
        return host_of(module).real_images(self._real_settings)

    def _look_at_first(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        if self.real_images(module).is_checked:
            self._check_first(trainer, module, batch)
        if batch is None:
            raise ValueError(f"{self.title}: the validation data have no images to compare with; give some")
        self.try_out_with(trainer, module, batch)

    def _few_reals(self, trainer: Trainer, module: LightningModule, batches: Iterator[Any]) -> int:
        """The number of real images over all ranks, of which each rank reads no more than `least_reals`."""
        read = kept = 0
        for batch in batches:
            count = len(self.real_images(module).images(batch))
            kept += int((positions_in_set(trainer, count, after=read) >= 0).sum())
            read += count
            if kept >= self.least_reals:
                break
        counts = trainer.strategy.reduce(torch.tensor(kept, device=module.device), reduce_op="sum")
        return int(counts)

    def _check_count(self, count: int) -> None:
        if count < self.least_reals:
            raise ValueError(
                f"{self.title}: the validation data have {count} real images, but at least {self.least_reals} are "
                "needed; give more images, or leave this callback out"
            )

    def _check_first(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        # Fakes are generated even without a batch, because every rank must take part in passes of sharded networks.
        fakes = self.few_fakes(trainer, module)
        if batch is not None:
            reals = self.real_images(module)
            reals.check_first(reals.images(batch), fakes=fakes, grows=growing_of(trainer) is not None)


def validation_batches(trainer: Trainer) -> Iterator[Any]:
    """Yields this rank's batches of the validation dataloader while fitting, at most `limit_val_batches` of them."""
    limit = trainer.num_val_batches[0]
    count = None if limit == math.inf else int(limit)
    for number, batch in enumerate(islice(_loader(trainer), count)):
        show_work(trainer, what="batches of real images", done=number, of=count)
        yield batch


def positions_in_set(trainer: Trainer, count: int, *, after: int) -> Int64[Tensor, " batch"]:
    """Returns the positions in the data set of this rank's next `count` images.

    Args:
        trainer: trainer that runs the loop.
        count: number of images in this rank's batch.
        after: number of images that this rank has read before.

    Returns:
        One position per image, and -1 for duplicates, with which a sampler fills the last batches. The positions only
        have to sort the images: if the sampler is not known, each rank's images follow those of the rank before.
    """
    positions = torch.arange(after, after + count)
    loader = _loader(trainer)
    sampler = loader.sampler if isinstance(loader, DataLoader) else None
    if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
        # Rank r of n reads the images r, r + n, r + 2n ...; the sampler repeats the first images so that all ranks have
        # equally many.
        positions = positions * sampler.num_replicas + sampler.rank
        positions[positions >= len(cast("Sized", sampler.dataset))] = -1
    else:
        positions += trainer.global_rank << 40  # each rank reads a part of its own, in the order of ranks
    return positions


def _loader(trainer: Trainer) -> Any:
    """The running loop's first dataloader. (In `validate`, `trainer.val_dataloaders` may belong to an earlier fit.)"""
    combined = evaluation_loader(trainer)
    assert combined is not None
    return combined.flattened[0]
