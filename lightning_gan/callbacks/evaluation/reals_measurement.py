"""Measurements that read real images: where those come from while fitting, and in `validate` and `test`."""

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
    """Measures with real images.

    While fitting they are those of the validation dataloader (`validation_batches`); in `validate` and `test` those of
    the loop's own batches. Of several dataloaders it reads the first.

    A subclass takes the loop's batches in `read`, forgets earlier ones in `forget`, and measures in `measured`.
    """

    @abstractmethod
    def forget(self) -> None:
        """A loop of `validate` or `test` begins: what earlier ones read no longer counts."""

    @abstractmethod
    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        """This rank's next batch of `validate` or `test`."""

    def can_fit(self, trainer: Trainer) -> bool:
        return evaluation_loader(trainer) is not None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Lightning sets the validation data up before this only if it validates in the first epoch: do the same as it.
        if evaluation_loader(trainer) is None and trainer.enable_validation:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
            trainer.training = True
        if self.can_fit(trainer) or skipped(trainer):
            return
        problem = (
            f"{self.title}: nothing to compare with while fitting; give the module a validation_step and the run a "
            "validation dataloader, and leave limit_val_batches above 0"
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
    """This rank's batches of the validation dataloader, while fitting; as many as `limit_val_batches` allows."""
    limit = trainer.num_val_batches[0]
    return islice(_loader(trainer), None if limit == math.inf else int(limit))


def positions_in_set(trainer: Trainer, count: int, *, after: int) -> Int64[Tensor, " batch"]:
    """Where this rank's next `count` images belong in the data set, after so many; -1 for duplicates."""
    positions = torch.arange(after, after + count)
    loader = _loader(trainer)
    sampler = loader.sampler if isinstance(loader, DataLoader) else None
    if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
        # It deals the data set out in turn, and repeats its first images so that every rank has as many.
        positions = positions * sampler.num_replicas + sampler.rank
        positions[positions >= len(cast("Sized", sampler.dataset))] = -1
    else:
        positions += trainer.global_rank << 40  # parts that follow each other, as data modules here deal them
    return positions


def _loader(trainer: Trainer) -> Any:
    """The running loop's first dataloader. (`trainer.val_dataloaders` may be an earlier fit's while validating.)"""
    combined = evaluation_loader(trainer)
    assert combined is not None
    return combined.flattened[0]
