"""When a trained generator is measured, over which ranks the work is dealt out, and where the numbers go.

`Measurement` is the part that every measurement shares; `Comparison` adds real images to compare with.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_gan.callbacks.evaluation.evaluation_loops import EvaluationLoops
from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.report import Record, table, write_record
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features


class Share(NamedTuple):
    """One batch of one rank.

    Attributes:
        positions: which samples of all to make.
        filed: where they belong in the gathered set: their positions, or -1 for padding samples.
        seed: of everything random about them.
    """

    positions: Int64[Tensor, " batch"]
    filed: Int64[Tensor, " batch"]
    seed: int


class Measurement(EvaluationLoops, ImageClock):
    """Measures a module while it trains, every so many images and at the end, and in `validate` and `test`.

    Results: `metrics/...` in the loggers and in `trainer.callback_metrics`, `metrics.json` in
    `trainer.default_root_dir`, and a table on the terminal. Measuring leaves training as it was: random state and modes
    of the networks are put back. A `fast_dev_run` is not measured.

    A subclass measures in `measured`, on every rank, and says in `check` what it cannot measure.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures at the end only.
        batch_size: samples to make at once, on each rank.
        seed: everything random is a function of it.
        name: what the loggers' names begin with, and the name of the JSON file.

    Raises:
        ValueError: for an interval or a batch size below 1.
    """

    def __init__(self, *, every_kimg: float | None, batch_size: int, seed: int, name: str) -> None:
        self.every_kimg = every_kimg
        self.batch_size = batch_size
        self.seed = seed
        self.name = name
        self.check_counts(batch_size=batch_size)
        self._every_images = None if every_kimg is None else images_of_kimg(f"{self.title}: every_kimg", every_kimg)
        self._evaluated_at: int | None = None
        self._latest: Record | None = None

    # ------------------------------------------------------------------ what a measurement is

    @abstractmethod
    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        """The numbers, under "metrics", and every setting they depend on; empty on other ranks than the first.

        Called on every rank, without gradients, with networks in evaluation mode and averaged weights.
        """

    @abstractmethod
    def headline(self, numbers: dict[str, float]) -> str:
        """The numbers in half a line, for the terminal while training goes on."""

    def titles(self) -> dict[str, str]:
        """What the table on the terminal calls the numbers, by their names; a number without a title has its name."""
        return {}

    def report(self, record: Record) -> str:
        """The record for the terminal, at the end."""
        return table(record, titles=self.titles())

    @abstractmethod
    def check(self, module: LightningModule) -> None:
        """Refuse a module that cannot be measured, before anything runs.

        Raises:
            ValueError: with the remedy.
        """

    def can_fit(self, trainer: Trainer) -> bool:
        """Whether there is what it takes to measure while fitting."""
        return True

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name")
        self.check(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._every_images is None or skipped(trainer):
            return
        if crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images):
            record = self._evaluate_fit(trainer, pl_module)
            # For whoever monitors them. Loggers have them already: Lightning would spare loggers most steps' numbers.
            pl_module.log_dict(self._logged(record), logger=False, rank_zero_only=False)
            trainer.print(f"{record['kimg']:.1f} {host_of(pl_module).clock_unit}: {self.headline(record['metrics'])}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if skipped(trainer) or not self.can_fit(trainer):
            return
        if self._evaluated_at != self.images_seen:
            self._evaluate_fit(trainer, pl_module)
        assert self._latest is not None
        trainer.print(self.report(self._latest))

    def _evaluate_fit(self, trainer: Trainer, module: LightningModule) -> Record:
        self._latest = self._evaluate(trainer, module, stage="fit")
        self._evaluated_at = self.images_seen
        step = host_of(module).logger_step(trainer, images_seen=self.images_seen)
        for logger in trainer.loggers:
            logger.log_metrics(self._logged(self._latest), step=step)
        return self._latest

    # ------------------------------------------------------------------ validate and test

    def begin_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().begin_loop(trainer, pl_module)
        self._read(pl_module)

    def end_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().end_loop(trainer, pl_module)
        if skipped(trainer):
            return
        assert trainer.state.fn is not None
        record = self._evaluate(trainer, pl_module, stage=trainer.state.fn.value)
        axis = host_of(pl_module).logged_axis(images_seen=self.images_seen)
        pl_module.log_dict(self._logged(record) | axis, rank_zero_only=False)
        trainer.print(self.report(record))

    # ------------------------------------------------------------------ for subclasses

    @property
    def title(self) -> str:
        """What error messages begin with."""
        return type(self).__name__

    def check_counts(self, **counts: int) -> None:
        """Refuse settings below 1.

        Raises:
            ValueError: naming the setting.
        """
        for setting, count in counts.items():
            if count < 1:
                raise ValueError(f"{self.title}: {setting}={count} must be at least 1")

    def shares(self, trainer: Trainer, count: int) -> Iterator[Share]:
        """This rank's batches of `count` samples, with randomness seeded anew for each of them.

        Batches and their seeds are the same whatever the number of ranks.
        """
        starts = range(0, count, self.batch_size)
        for turn in range(math.ceil(len(starts) / trainer.world_size)):
            index = turn * trainer.world_size + trainer.global_rank
            # Sharded networks need every rank in every forward: a rank without a batch left repeats the first in vain.
            start = starts[index] if index < len(starts) else 0
            positions = torch.arange(start, min(start + self.batch_size, count))
            seed = derived_seed(self.seed, "fakes", start)
            torch.manual_seed(seed)
            yield Share(positions, positions if index < len(starts) else torch.full_like(positions, -1), seed)

    # ------------------------------------------------------------------ one evaluation

    def _evaluate(self, trainer: Trainer, module: LightningModule, *, stage: str) -> Record:
        """The record on every rank; rank 0 writes it."""
        with isolate_rng(), evaluation_mode(module), torch.no_grad(), host_of(module).averaged_weights(trainer):
            measured = self.measured(trainer, module)
        record: Record = trainer.strategy.broadcast({"stage": stage, "kimg": self.kimg, **measured})
        if trainer.is_global_zero:
            write_record(record, Path(trainer.default_root_dir) / f"{self.name}.json")
        return record

    def _logged(self, record: Record) -> dict[str, float]:
        return {f"{self.name}/{key}": value for key, value in record["metrics"].items()} | {"kimg": record["kimg"]}

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name)


def skipped(trainer: Trainer) -> bool:
    """Whether this run only tries whether it runs."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def where_doubles_are(tensor: Tensor) -> Tensor:
    """On the CPU instead of Apple's GPU, which has no float64."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


def gathered(trainer: Trainer, module: LightningModule, features: FeatureSet) -> Features:
    """All ranks' features in order, for rank 0 alone, on the device they were kept on; the set is emptied."""
    home = features.features[0].device
    # Ranks exchange tensors of their devices; what was kept elsewhere goes there for as long as it takes.
    everything = features.to(module.device).compute()
    features.reset()
    return where_doubles_are((everything if trainer.is_global_zero else everything[:0]).to(home))
