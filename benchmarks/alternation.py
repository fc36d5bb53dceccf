"""A batch of the Trainer and a step without it in turns, for benchmarks that compare the two."""

import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, Trainer


class Alternate(Callback):
    """After each batch of the Trainer one step of others, both timed. List it last, so that other callbacks count.

    Args:
        step: the step.

    Attributes:
        trainer_seconds: seconds of each batch, with loading and all hooks.
        step_seconds: seconds of each step.
    """

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step
        self.trainer_seconds: list[float] = []
        self.step_seconds: list[float] = []
        self._left = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        # The Trainer's batch began when the last step ended.
        started = time.perf_counter()
        self.trainer_seconds.append(started - self._left)
        self.step()
        self._left = time.perf_counter()
        self.step_seconds.append(self._left - started)
