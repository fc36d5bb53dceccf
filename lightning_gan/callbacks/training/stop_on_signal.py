"""The end of training by a signal, by a time limit, or because another rank has failed."""

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.training.checkpoint import KimgCheckpoint
from lightning_gan.compat import skip_exchange_of_signals
from lightning_gan.loop.compiled import GuardsCompilation
from lightning_gan.loop.peers import (
    BEAT_SECONDS,
    FlagExchange,
    PeerWatch,
    is_a_child,
    is_of_connection,
    say,
    watch_peers,
)

REQUEUE_EXIT_CODE = 75
"""Exit code of a run that was stopped and shall be started again: the code EX_TEMPFAIL of `sysexits.h`."""

_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP")
_SIGNALS = [known for known in signal.Signals if known.name in _NAMES]  # Windows has fewer
_TIME_LIMIT = 1000  # among the numbers of signals
_TOGETHER_SECONDS = 1.0
"""Signals within this time are one: a launcher often passes on what a terminal has sent to all processes."""


class TrainingStopped(SystemExit):
    """Raised by `fit` after a signal or at a time limit. Where nobody catches it, the process ends with its code."""


class StopOnSignal(GuardsCompilation):
    """Stops training on SIGTERM, SIGINT (Ctrl-C), SIGUSR1, SIGUSR2, SIGHUP or at a time limit, and saves `last.ckpt`.

    The present batch is finished first, and after an evaluation also the next one. Then all ranks stop after the same
    batch, also if only one of them has received the signal. A `KimgCheckpoint` of the trainer saves, and `fit` raises
    `TrainingStopped`, with which the process exits. A second signal of the same kind ends the process at once.

    A batch in which turns are compiled (`training.compile`) takes minutes, and is not finished: the checkpoint is
    written before it, and the signal ends the batch within seconds.

    Exit codes: 75 for a run that was saved and shall be started again (all signals but SIGINT, and the time limit), 130
    after SIGINT, and 128 plus the number of the signal if nothing was saved. In a job of SLURM that receives SIGUSR1 or
    SIGUSR2 (`#SBATCH --signal=USR1@120`), or reaches the time limit, the first rank also calls `scontrol requeue`. It
    replaces Lightning's own handlers of signals, which save within a step and wait for each other for ever.

    If one of several ranks fails or dies, the others end as well within seconds, with exit code 1, and their line says
    why. The newest checkpoint is then the one that was saved last. A process that trains alone saves `last.ckpt` also
    before an error that is raised between two batches, for example by the data.

    Args:
        limit_minutes: minutes from the start of training after which it stops; None is no limit. It counts for every
            start of the run anew, while Lightning's `max_time` is the time of the whole training, after which the run
            ends normally, with a checkpoint and exit code 0.
        requeue_on_slurm: whether `scontrol requeue` is called.
        silence_seconds: seconds after which a rank that gives no sign of life is taken for dead.
        how_to_go_on: text that is printed after a stop, in which {checkpoint} stands for the path of the checkpoint.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self,
        *,
        limit_minutes: float | None = None,
        requeue_on_slurm: bool = True,
        silence_seconds: float = 60.0,
        how_to_go_on: str = "trainer.fit(..., ckpt_path={checkpoint})",
    ) -> None:
        if limit_minutes is not None and not limit_minutes > 0:
            raise ValueError(f"StopOnSignal: limit_minutes={limit_minutes} must be positive; give minutes, or null")
        if not silence_seconds > 0:
            raise ValueError(f"StopOnSignal: silence_seconds={silence_seconds} must be positive; give seconds")
        self.limit_minutes = limit_minutes
        self.requeue_on_slurm = requeue_on_slurm
        self.silence_seconds = silence_seconds
        self.how_to_go_on = how_to_go_on
        self._watch: PeerWatch | None = None
        self._exchange: FlagExchange | None = None
        self._received = 0
        self._received_at = self._started_at = 0.0
        self._process = 0
        self._leaves_batch = self._has_left_batch = False
        self._replaced: dict[signal.Signals, Any] = {}

    # ------------------------------------------------------------------ beginning

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._watch = watch_peers(trainer, silence_seconds=self.silence_seconds)
            self._exchange = None if self._watch is None else FlagExchange()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._received, self._started_at = 0, time.monotonic()
        self._leaves_batch = self._has_left_batch = False
        # Last of all, so that the other callbacks have finished the batch when this one saves. A new list, because
        # the trainer is going through the old one.
        trainer.callbacks = [*(other for other in trainer.callbacks if other is not self), self]  # type: ignore[attr-defined]
        if trainer.world_size > 1:
            skip_exchange_of_signals(trainer)
        self._listen()

    def _listen(self) -> None:
        """Replace the handlers of signals. Lightning has set its own shortly before `on_train_start`."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python sets handlers only there
        self._process = os.getpid()
        for known in _SIGNALS:
            if signal.getsignal(known) != signal.SIG_IGN:  # `nohup` ignores SIGHUP, for example
                self._replaced[known] = signal.signal(known, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker that loads data has inherited this handler; the main process decides
        now = time.monotonic()
        if self._received == number and now - self._received_at > _TOGETHER_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(self._process, number)
        elif not self._received:
            self._received, self._received_at = number, now
            act = "leaving this batch, which compiles" if self._leaves_batch else "saving after this batch"
            line = f"\nlightning-gan: {signal.Signals(number).name}: {act} (twice: stop at once)\n"
            os.write(2, line.encode())  # `print` may be interrupted by this very handler
            if self._leaves_batch:
                self._leave_batch()

    # ------------------------------------------------------------------ a batch in which turns are compiled

    def begin_compilation(self, trainer: Trainer) -> None:
        """Save the state after the batch before, so that a signal can end this one at any time."""
        checkpoint = _checkpoint_of(trainer)
        is_saved = checkpoint is not None and checkpoint.save_if_possible(trainer)
        self._leaves_batch = checkpoint is None or is_saved
        if self._leaves_batch and self._received:
            self._leave_batch()

    def end_compilation(self) -> None:
        self._leaves_batch = False

    def _leave_batch(self) -> None:
        self._leaves_batch, self._has_left_batch = False, True
        raise TrainingStopped(128 + self._received)  # `on_exception` knows what was saved

    def _end_left_batch(self, trainer: Trainer, stopped: TrainingStopped) -> None:
        """Say where the state is that the batch began with, and end the other ranks, which may still compile."""
        reason, stopped.code = self._conclude(trainer, self._received)
        if self._watch is not None:
            self._watch.report(reason, code=_code_after(self._received, saved=_saved_by(trainer)))
            self._watch.stop()
            time.sleep(2 * BEAT_SECONDS)  # until the others have heard it

    # ------------------------------------------------------------------ every batch

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        wish = self._received
        if not wish and self.limit_minutes is not None:
            wish = _TIME_LIMIT if time.monotonic() - self._started_at >= 60 * self.limit_minutes else 0
        if agreed := wish if self._exchange is None else self._exchange.exchange(wish):
            self._stop(trainer, agreed)

    def _stop(self, trainer: Trainer, wish: int) -> None:
        """Save, say so, and raise the error that ends training. All ranks are here after the same batch."""
        checkpoint = _checkpoint_of(trainer)
        if checkpoint is not None:
            checkpoint.save_now(trainer)
        self._end_watch(trainer)
        _, code = self._conclude(trainer, wish)
        raise TrainingStopped(code)

    def _conclude(self, trainer: Trainer, wish: int) -> tuple[str, int]:
        """Say how to go on, and requeue a job; return what was said, and the exit code of this process."""
        cause = f"limit_minutes={self.limit_minutes}" if wish == _TIME_LIMIT else signal.Signals(wish).name
        saved = _saved_by(trainer)
        reason = f"stopped by {cause}: {self._way_on(saved)}"
        if trainer.is_global_zero:
            say(reason)
            if saved is not None and self.requeue_on_slurm and cause not in ("SIGTERM", "SIGINT", "SIGHUP"):
                _requeue()
        return reason, 0 if is_a_child(trainer) else _code_after(wish, saved=saved)

    def _way_on(self, saved: str | None) -> str:
        if saved is None:
            return "nothing was saved, because the trainer has no KimgCheckpoint"
        return f"saved {saved}; go on with: {self.how_to_go_on.format(checkpoint=shlex.quote(saved))}"

    # ------------------------------------------------------------------ the end

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_watch(trainer)

    def _end_watch(self, trainer: Trainer) -> None:
        self._restore()
        if self._exchange is not None:
            self._exchange.finish()
        if self._watch is not None:
            self._watch.stop()
            trainer.strategy.barrier("StopOnSignal")  # no rank ends while another one watches it

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()
        if isinstance(exception, TrainingStopped):
            if self._has_left_batch:
                self._end_left_batch(trainer, exception)
            return
        if self._watch is not None:
            self._end_with_others(trainer, self._watch, exception)
        elif _is_between_batches(trainer) and (checkpoint := _checkpoint_of(trainer)) is not None:
            checkpoint.save_now(trainer)
            say(f"{type(exception).__name__} between two batches: {self._way_on(checkpoint.last_model_path or None)}")

    def _end_with_others(self, trainer: Trainer, watch: PeerWatch, exception: BaseException) -> None:
        """Tell the other ranks of an error. An error that follows from another rank's is replaced by its reason."""
        if not is_of_connection(exception):
            watch.report(f"{type(exception).__name__}: {' '.join(str(exception).split())[:300]}")
            watch.stop()
            return
        reason = watch.reason_of_others(wait_seconds=3.0) or "another rank has died without a word"
        watch.stop()
        checkpoint = _checkpoint_of(trainer)
        saved = checkpoint.last_model_path if checkpoint is not None else ""
        if trainer.is_global_zero or reason == "rank 0 has ended":
            say(f"{reason}; " + (f"the newest checkpoint is {saved}" if saved else "nothing was saved yet"))
        raise TrainingStopped(1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore()
        if self._watch is not None:
            self._watch.stop()

    def _restore(self) -> None:
        """Set the handlers of signals that were there before."""
        for known, handler in self._replaced.items():
            signal.signal(known, handler)
        self._replaced = {}


def _checkpoint_of(trainer: Trainer) -> KimgCheckpoint | None:
    return next((one for one in trainer.callbacks if isinstance(one, KimgCheckpoint)), None)  # type: ignore[attr-defined]


def _is_between_batches(trainer: Trainer) -> bool:
    """Whether training has completed a batch and has not begun the next one, so that its state can be saved."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current
    return trainer.training and 0 < batches.completed == batches.ready


def _saved_by(trainer: Trainer) -> str | None:
    """The path of the checkpoint that was written last, or None if there is none."""
    checkpoint = _checkpoint_of(trainer)
    return None if checkpoint is None else checkpoint.last_model_path or None


def _code_after(wish: int, *, saved: str | None) -> int:
    """The exit code of a run that was stopped by a signal or at a time limit."""
    if wish != signal.SIGINT and saved is not None:
        return REQUEUE_EXIT_CODE
    return 128 + (signal.SIGTERM if wish == _TIME_LIMIT else wish)


def _requeue() -> None:
    """Ask SLURM to start this job again, if it is one of SLURM's."""
    job = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in os.environ and "SLURM_ARRAY_TASK_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if job is None or (scontrol := shutil.which("scontrol")) is None:
        return
    done = subprocess.run([scontrol, "requeue", job], capture_output=True, text=True, check=False)
    say(f"SLURM job {job} was requeued" if done.returncode == 0 else f"scontrol requeue {job}: {done.stderr.strip()}")
