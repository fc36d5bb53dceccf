"""The base class of all measurements: when they run, how ranks share the work, and where the numbers are written."""

import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_gan.callbacks.evaluation.evaluation_loops import EvaluationLoops
from lightning_gan.callbacks.evaluation.measured_weights import origin
from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.callbacks.training.pauses import pausing, show_work
from lightning_gan.compat import replace_callback_metrics, state_key_of
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.monitors import look, monitoring, refuse_unseen, unknown_monitor, watch_monitors
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.metrics.record_file import set_aside, write_record
from lightning_gan.metrics.report import Better, Record, not_finite, table
from lightning_gan.tensors.seeds import derived_seed


class Share(NamedTuple):
    """One batch of samples that one rank generates.

    Attributes:
        positions: positions of the batch's samples among all samples.
        filed: positions of the samples in the gathered set: `positions`, or -1 for padding samples.
        seed: seed of every random choice for these samples.
    """

    positions: Int64[Tensor, " batch"]
    filed: Int64[Tensor, " batch"]
    seed: int


class Measurement(EvaluationLoops, ImageClock):
    """Measures a module while fitting, every `every_kimg` thousand images and at the end, and in `validate` and `test`.

    Results are logged as `metrics/...` in the loggers and in `trainer.callback_metrics`, written to `metrics.json` in
    `trainer.default_root_dir`, and printed as a table. A measurement does not change training: it restores the random
    state and the modes of the networks. In a `fast_dev_run` nothing is measured.

    A `ModelCheckpoint` or an `EarlyStopping` that monitors one of the numbers looks at it after each measurement, and
    at no other time (`lightning_gan.loop.monitors`). A number that is NaN or infinite is an error, and is not written.
    Each record names the checkpoint of the weights and has their fingerprint. The file belongs to the weights of one
    run: a run that begins renames the file of an earlier one to `metrics_of_earlier_run_1.json`, and records of other
    weights, such as those of a checkpoint in another folder, are written to `metrics_of_other_weights.json`.

    A subclass computes its numbers in `measured`, on every rank, refuses modules it cannot measure in `check`, and
    measures a few samples before training in `try_out`, to refuse what cannot be measured before time is lost.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        batch_size: number of samples that each rank generates at once.
        seed: integer that determines every random choice.
        name: prefix of the logged names, and name of the JSON file.

    Raises:
        ValueError: for an interval below one image or a batch size below 1.
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
        self._fit_began = 0.0
        self._seconds: list[float] = []  # that each measurement of this fit took

    # ------------------------------------------------------------------ what a subclass defines

    @abstractmethod
    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        """Returns a record of the numbers, under "metrics", and of every setting they depend on.

        It is called on every rank, without gradients, with networks in evaluation mode and averaged weights. Ranks
        other than 0 return an empty record.
        """

    @abstractmethod
    def headline(self, numbers: dict[str, float]) -> str:
        """Returns the main numbers as a short text, which is printed after each measurement while fitting."""

    def titles(self) -> dict[str, str]:
        """Returns the titles of the printed table by the numbers' names; without a title, the name is printed."""
        return {}

    def better(self) -> dict[str, Better]:
        """Returns whether less or more of a number is better, by the numbers' names.

        Numbers that are left out have no direction, such as a floor.
        """
        return {}

    def report(self, record: Record) -> str:
        """Returns the text of a record that is printed at the end of fit, and of `validate` and `test`."""
        return table(record, titles=self.titles())

    @abstractmethod
    def check(self, module: LightningModule) -> None:
        """Refuses a module that cannot be measured, before anything runs.

        Raises:
            ValueError: if the module cannot be measured; the message names a remedy.
        """

    def try_out(self, trainer: Trainer, module: LightningModule) -> None:
        """Measures a few samples before training, and before `validate` and `test`; every rank calls it.

        It is called without gradients, with networks in evaluation mode and averaged weights.

        Raises:
            ValueError: if samples cannot be measured; the message names a remedy.
        """

    def can_fit(self, trainer: Trainer) -> bool:
        """Whether the trainer has the data that a measurement while fitting needs."""
        return True

    def is_ready(self, trainer: Trainer) -> bool:
        """Whether the networks can be measured at this point of training. Where not, a measurement is left out."""
        return True

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name")
        self.check(pl_module)
        if stage == "fit":
            watch_monitors(trainer, prefixes=(f"{self.name}/",))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if skipped(trainer):
            return
        if self.images_seen == 0 and trainer.is_global_zero:
            kept = set_aside(self._path(trainer), reason="of_earlier_run")
            if kept is not None:
                rank_zero_info(f"{self.title}: the records of an earlier run were renamed to {kept}")
        self._fit_began, self._seconds = time.monotonic(), []
        self.prepare_fit(trainer, pl_module)
        self._check_monitors(trainer, pl_module)

    def prepare_fit(self, trainer: Trainer, module: LightningModule) -> None:
        """Tries out the measurement before training."""
        with self.measuring(trainer, module):
            self.try_out(trainer, module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._every_images is None or skipped(trainer):
            return
        due = crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images)
        if due and self.is_ready(trainer):
            with isolate_rng():  # whatever callbacks do with the numbers, training does not notice it
                record = self._evaluate_fit(trainer, pl_module)
                # For callbacks that monitor them. `_evaluate_fit` has given them to the loggers already, because
                # Lightning gives loggers the numbers of every log_every_n_steps-th step only.
                pl_module.log_dict(self._logged(record), logger=False, rank_zero_only=False)
                self._tell_monitors(trainer, record)
            pl_module.print(f"{record['kimg']:.1f} {host_of(pl_module).clock_unit}: {self.headline(record['metrics'])}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if skipped(trainer) or not self.can_fit(trainer):
            return
        if self._evaluated_at != self.images_seen:
            record = self._evaluate_fit(trainer, pl_module)
            replace_callback_metrics(trainer, self._logged(record))
            self._tell_monitors(trainer, record)
        assert self._latest is not None
        pl_module.print(self.report(self._latest))
        pl_module.print(self._cost())

    def _cost(self) -> str:
        """What the measurements of this fit took of its time."""
        seconds, count = sum(self._seconds), len(self._seconds)
        share = seconds / (time.monotonic() - self._fit_began)
        times = "measurement" if count == 1 else "measurements"
        return f"{self.title}: {count} {times} took {seconds:.1f} s, {share:.1%} of the time of this fit"

    def _evaluate_fit(self, trainer: Trainer, module: LightningModule) -> Record:
        began = time.monotonic()
        self._latest = self._evaluate(trainer, module, stage="fit")
        self._seconds.append(time.monotonic() - began)
        self._evaluated_at = self.images_seen
        step = host_of(module).logger_step(trainer, images_seen=self.images_seen)
        for logger in trainer.loggers:
            logger.log_metrics(self._logged(self._latest), step=step)
        return self._latest

    # ------------------------------------------------------------------ validate and test

    def begin_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().begin_loop(trainer, pl_module)
        self._read(pl_module)
        if not skipped(trainer):
            self.prepare_loop(trainer, pl_module)

    def prepare_loop(self, trainer: Trainer, module: LightningModule) -> None:
        """Tries out the measurement when a loop of `validate` or `test` begins."""
        with self.measuring(trainer, module):
            self.try_out(trainer, module)

    def end_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().end_loop(trainer, pl_module)
        if skipped(trainer):
            return
        assert trainer.state.fn is not None
        record = self._evaluate(trainer, pl_module, stage=trainer.state.fn.value)
        axis = host_of(pl_module).logged_axis(images_seen=self.images_seen)
        pl_module.log_dict({**self._logged(record), **axis}, rank_zero_only=False)
        pl_module.print(self.report(record))
        if record["checkpoint"] is None and record["kimg"] == 0:
            pl_module.print(
                f"{self.title}: {host_of(pl_module).clock_unit} 0: the weights are untrained, or were trained "
                "elsewhere; give ckpt_path to measure those of a checkpoint"
            )

    # ------------------------------------------------------------------ for subclasses

    @property
    def title(self) -> str:
        """The name of the class, with which error messages begin."""
        return type(self).__name__

    def check_counts(self, **counts: int) -> None:
        """Refuses settings below 1.

        Raises:
            ValueError: if a count is below 1; the message names the setting.
        """
        for setting, count in counts.items():
            if count < 1:
                raise ValueError(f"{self.title}: {setting}={count} must be at least 1")

    @contextmanager
    def measuring(self, trainer: Trainer, module: LightningModule) -> Iterator[None]:
        """Context manager without gradients, with averaged weights, and with networks in evaluation mode.

        At its end the random state is what it was before.
        """
        with isolate_rng(), evaluation_mode(module), torch.no_grad(), host_of(module).averaged_weights(trainer):
            yield

    def shares(self, trainer: Trainer, count: int) -> Iterator[Share]:
        """Yields this rank's batches of `count` samples, and seeds torch's random numbers for each of them.

        The batches and their seeds do not depend on the number of ranks. All ranks get equally many batches: a rank
        without a batch left repeats the first one as padding.
        """
        starts = range(0, count, self.batch_size)
        for turn in range(math.ceil(len(starts) / trainer.world_size)):
            index = turn * trainer.world_size + trainer.global_rank
            # Every rank must take part in every forward pass of a sharded network: padding samples fill the last round.
            start = starts[index] if index < len(starts) else 0
            positions = torch.arange(start, min(start + self.batch_size, count))
            seed = derived_seed(self.seed, "fakes", start)
            torch.manual_seed(seed)
            show_work(trainer, what="generated samples", done=start, of=count)
            yield Share(positions, positions if index < len(starts) else torch.full_like(positions, -1), seed)

    # ------------------------------------------------------------------ one evaluation

    def _evaluate(self, trainer: Trainer, module: LightningModule, *, stage: str) -> Record:
        """Measures, and returns the record on every rank; rank 0 also writes it."""
        with pausing(trainer, self.title), self.measuring(trainer, module):
            measured, weights = self.measured(trainer, module), origin(trainer, module)
        record: Record = trainer.strategy.broadcast({"stage": stage, "kimg": self.kimg, **weights, **measured})
        self._check_numbers(record)
        if trainer.is_global_zero:
            expected = self._path(trainer)
            path, broken = write_record(record, expected)
            if broken is not None:
                rank_zero_warn(f"{self.title}: a file was no list of records and was renamed to {broken}")
            if path != expected:
                module.print(f"{self.title}: {expected} is of other weights, so that this record is in {path}")
        return record

    def _check_numbers(self, record: Record) -> None:
        if broken := not_finite(record):
            raise ValueError(
                f"{self.title}: {', '.join(broken)} at {record['kimg']:g} kimg; a number that is not finite is not "
                "written. If training has diverged, continue from an earlier checkpoint with lower learning rates; "
                "otherwise measure more images, or with other settings"
            )

    def _path(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / f"{self.name}.json"

    # ------------------------------------------------------------------ callbacks that monitor the numbers

    def _check_monitors(self, trainer: Trainer, module: LightningModule) -> None:
        """Refuses, before training, callbacks that monitor a number that is not logged, if it is known."""
        measurements = [*_measurements(trainer)]
        if self is not measurements[-1]:
            return  # the titles of the others may not be known yet
        logging = [measurement for measurement in measurements if measurement.can_fit(trainer)]
        known = {f"{each.name}/{number}" for each in logging for number in each.titles()}
        for callback in monitoring(trainer):
            asked = [each for each in measurements if str(callback.monitor).startswith(f"{each.name}/")]
            # A measurement without titles may log any number.
            is_possible = any(each in logging and not each.titles() for each in asked)
            # A `GAN` logs no name without a prefix.
            lacks_prefix = host_of(module).counts_images and any(
                name.endswith(f"/{callback.monitor}") for name in known
            )
            if lacks_prefix or (asked and callback.monitor not in known and not is_possible):
                raise ValueError(unknown_monitor(callback, known=known))
        refuse_unseen(trainer, known=known)

    def _tell_monitors(self, trainer: Trainer, record: Record) -> None:
        """Lets callbacks look at the numbers of a record, and refuses those whose number is in no record."""
        look(trainer, self._logged(record).keys())
        alike = [each for each in _measurements(trainer) if each.name == self.name]
        if any(each._latest is None for each in alike):
            return
        known = {name for each in alike if each._latest is not None for name in each._logged(each._latest)}
        for callback in monitoring(trainer):
            if str(callback.monitor).startswith(f"{self.name}/") and callback.monitor not in known:
                raise ValueError(unknown_monitor(callback, known=known))

    def _logged(self, record: Record) -> dict[str, float]:
        return {f"{self.name}/{key}": value for key, value in record["metrics"].items()} | {"kimg": record["kimg"]}

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name)


def _measurements(trainer: Trainer) -> Iterator[Measurement]:
    return (callback for callback in trainer.callbacks if isinstance(callback, Measurement))  # type: ignore[attr-defined]


def skipped(trainer: Trainer) -> bool:
    """Whether nothing is measured because this is a `fast_dev_run`."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
