"""What the ranks of a training tell each other without waiting for a device: a wish to stop, and that a rank has died.

A rank that waits in a collective for another one that has died would wait for many minutes, or for ever. Signals do
not reach it, because Python runs their handlers between two of its own instructions. Therefore a thread of its own
watches on every rank.
"""

import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ParallelStrategy
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, but missing in its list of names

from lightning_gan.compat import end_process_at_once

FAILED = 1
"""Exit code after an error."""

BEAT_SECONDS = 1.0
"""Interval in which every rank tells that it is alive, and looks whether another one has failed."""


class FlagExchange:
    """Tells all ranks the largest of their flags, one call late, so that no rank waits for another one.

    The constructor is called on every rank, and so is `exchange`, equally often.
    """

    def __init__(self) -> None:
        # On the CPU, whatever the training uses. NCCL would wait for the device.
        group = torch.distributed.new_group(backend="gloo")
        assert isinstance(group, torch.distributed.ProcessGroup)
        self._group = group
        self._flags = torch.zeros(1, dtype=torch.int64)
        self._work: torch.distributed.Work | None = None

    def exchange(self, flag: int) -> int:
        """Send this rank's flag, and return the largest flag of all ranks in the call before; 0 in the first one.

        Args:
            flag: a number that is not negative.
        """
        agreed = self.finish()
        self._flags.fill_(flag)
        self._work = torch.distributed.all_reduce(
            self._flags, op=torch.distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return agreed

    def finish(self) -> int:
        """Wait for the exchange that was begun last, and return its result; 0 if there is none."""
        if self._work is None:
            return 0
        self._work.wait()
        self._work = None
        return int(self._flags.item())


class PeerWatch:
    """A thread that ends this process a few seconds after another rank has failed or died.

    A rank fails when it calls `report`. It has died when it has been silent for `silence_seconds`; the first rank
    observes this, and the others observe the first.

    Args:
        store: store that all ranks are connected with. The first rank's process contains it.
        rank: number of this rank.
        ranks: number of ranks.
        silence_seconds: seconds after which a silent rank is taken for dead.
        grace_seconds: seconds in which this process may end by itself, before the thread ends it with exit code 1.
        is_child: whether Lightning has started this process. It ends with exit code 0 when another rank was stopped,
            because Lightning kills the first process otherwise.
        end: function that ends the process; tests replace it.
    """

    def __init__(
        self,
        *,
        store: TCPStore,
        rank: int,
        ranks: int,
        silence_seconds: float,
        grace_seconds: float = 4.0,
        is_child: bool = False,
        end: Callable[[int], object] = end_process_at_once,
    ) -> None:
        self.reason: str | None = None
        self._store, self._rank, self._ranks = store, rank, ranks
        self._silence_seconds, self._grace_seconds, self._end = silence_seconds, grace_seconds, end
        self._is_child = is_child
        self._stopped, self._noticed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Call it on every rank before one of them ends, followed by a barrier."""
        self._stopped.set()

    def report(self, reason: str, *, code: int = FAILED) -> None:
        """Tell the other ranks that this one ends now, and why. Only the first report counts.

        Args:
            reason: one line.
            code: exit code of the other ranks.
        """
        try:
            self._store.compare_set("failed", "", f"{self._rank} {code} {reason}")
        except RuntimeError:
            return  # the first rank has ended

    def reason_of_others(self, *, wait_seconds: float) -> str | None:
        """Why another rank has ended, or None if nothing is known of it within some seconds.

        Args:
            wait_seconds: seconds to wait for such a report.
        """
        self._noticed.wait(wait_seconds)
        return self.reason

    def _watch(self) -> None:
        heard = [(b"", time.monotonic())] * self._ranks
        beat = 0
        while not self._stopped.wait(BEAT_SECONDS):
            beat += 1
            try:
                self._store.set(f"beat {self._rank}", str(beat))
                reason, code = self._failure()
                if reason is None and self._rank == 0:
                    reason = self._silence(heard)
            except RuntimeError:
                reason, code = "rank 0 has ended", FAILED
            if reason is not None:
                self._end_after(reason, code=code)
                return

    def _failure(self) -> tuple[str | None, int]:
        if not self._store.check(["failed"]):
            return None, FAILED
        rank, code, reason = self._store.get("failed").decode().split(" ", maxsplit=2)
        return None if rank == str(self._rank) else f"rank {rank} has ended: {reason}", int(code)

    def _silence(self, heard: list[tuple[bytes, float]]) -> str | None:
        for rank in range(1, self._ranks):
            key, now = f"beat {rank}", time.monotonic()
            latest = self._store.get(key) if self._store.check([key]) else b""
            if latest != heard[rank][0]:
                heard[rank] = latest, now
            elif now - heard[rank][1] > self._silence_seconds:
                self.report(f"rank {rank} has not been heard of for {self._silence_seconds:.0f} s")
                return f"rank {rank} has not been heard of for {self._silence_seconds:.0f} s"
        return None

    def _end_after(self, reason: str, *, code: int) -> None:
        if self._stopped.is_set():
            return
        self.reason = reason
        self._noticed.set()
        if not self._stopped.wait(self._grace_seconds):
            say(f"{reason}, so that rank {self._rank} ends too")
            self._end(0 if self._is_child and code != FAILED else code)


def watch_peers(trainer: Trainer, *, silence_seconds: float) -> PeerWatch | None:
    """Start to watch the other ranks; None in a training on one rank. Every rank has to call it.

    Args:
        trainer: trainer whose strategy has connected its processes.
        silence_seconds: seconds after which a silent rank is taken for dead.
    """
    strategy = trainer.strategy
    if trainer.world_size == 1 or not isinstance(strategy, ParallelStrategy):
        return None
    assert strategy.cluster_environment is not None
    host, timeout = strategy.cluster_environment.main_address, timedelta(seconds=silence_seconds)
    first = trainer.is_global_zero
    store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=timeout) if first else None
    port = strategy.broadcast(None if store is None else store.port)
    if store is None:
        assert port is not None
        store = TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=timeout)
    watch = PeerWatch(
        store=store,
        rank=trainer.global_rank,
        ranks=trainer.world_size,
        silence_seconds=silence_seconds,
        is_child=is_a_child(trainer),
    )
    watch.start()
    return watch


def is_a_child(trainer: Trainer) -> bool:
    """Whether Lightning has started this process. It kills the first process when one of these ends with an error.

    Args:
        trainer: trainer of this process.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, ParallelStrategy) or strategy.cluster_environment is None:
        return False
    return trainer.local_rank != 0 and not strategy.cluster_environment.creates_processes_externally


def is_of_connection(error: BaseException) -> bool:
    """Whether an error says that a collective has failed, as it does when another rank has ended.

    Args:
        error: error of torch's collectives, or any other.
    """
    text = str(error).lower()
    words = ("gloo", "nccl", "closed by peer", "connection reset", "c10d", "broken pipe", "process group")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


def say(line: str) -> None:
    """Print a line to the standard error."""
    print(f"\nlightning-gan: {line}", file=sys.stderr, flush=True)
