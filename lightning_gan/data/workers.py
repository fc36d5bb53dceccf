"""How many processes read ahead, if none is told."""

import os
import sys

from lightning_gan.data.images import ImageSource

_MOST_WORKERS = 8  # per training process: more processes share one disk and send their batches to one process


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may use, which a job's limits make smaller than the machine's."""
    # os.process_cpu_count says the same from Python 3.13 on.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def number_of_workers_for(source: ImageSource, *, given: int | None, cpus: int, training_processes: int) -> int:
    """Returns the number of processes that read ahead for each training process.

    Images in memory are read in the training process, because sending batches from another process costs more than
    reading them. Otherwise each training process has its share of the CPUs, of which it keeps one for itself, and at
    least one and at most eight processes read ahead.

    Args:
        source: the images.
        given: the number that the user gives, which is kept; None without one.
        cpus: number of CPUs that this process may use.
        training_processes: number of training processes on this machine.

    Example:
        >>> from lightning_gan.data import Digits
        >>> number_of_workers_for(Digits().source, given=None, cpus=64, training_processes=8)
        0
        >>> number_of_workers_for(Digits().source, given=2, cpus=64, training_processes=8)
        2
    """
    if given is not None:
        return given
    if source.is_in_memory:
        return 0
    return min(max(cpus // training_processes - 1, 1), _MOST_WORKERS)
