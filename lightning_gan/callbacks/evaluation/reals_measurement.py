"""The base class of measurements that read real images, while fitting, and in `validate` and `test`."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any, cast

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gan.callbacks.evaluation.measurement import Measurement, skipped
from lightning_gan.compat import evaluation_loader


class RealsMeasurement(Measurement):
    """A measurement that reads real images.

    While fitting it reads the validation dataloader (`validation_batches`); in `validate` and `test` it reads the
    loop's own batches. If there are several dataloaders, it reads the first.

    A subclass reads the loop's batches in `read`, deletes what it kept of earlier loops in `forget`, and computes its
    numbers in `measured`.
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
        super().on_train_start(trainer, pl_module)
        # Lightning has set up the validation data only if it validates in the first epoch; otherwise do it here.
        if evaluation_loader(trainer) is None and trainer.enable_validation:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
            trainer.training = True
        if self.can_fit(trainer) or skipped(trainer):
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

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        super().loop_batch(trainer, pl_module, batch, index=index, batches=batches)
        if not skipped(trainer):
            self.read(trainer, pl_module, batch)


def validation_batches(trainer: Trainer) -> Iterator[Any]:
    """Yields this rank's batches of the validation dataloader while fitting, at most `limit_val_batches` of them."""
    limit = trainer.num_val_batches[0]
    return islice(_loader(trainer), None if limit == math.inf else int(limit))


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
