"""The pace of training and the memory that it takes, as logged numbers."""

import time
from typing import Any

import psutil
import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.callbacks.training.pauses import SeesPauses
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.loop.logged_numbers import exact

GIB = 2**30
"""Bytes in a GiB."""


class Throughput(ImageClock, SeesPauses):
    """Logs the pace of training and the memory that it takes, in the batches whose losses are logged.

    - `speed/seconds_per_kimg` and `speed/images_per_second`: since the preceding batch that was logged, over all ranks,
      without the pauses in which callbacks of this package measure, draw and save. The first batch does not count.
    - `memory/process_gib`: main memory of this process (its resident set), without those of processes that read data.
    - `memory/gpu_peak_gib`: largest GPU memory that tensors of this process have had at one time, on its own device.

    No number makes the device wait. Those of memory are of the first rank.

    Raises:
        ValueError: for a second one.
    """

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None
        self._paused_at: float | None = None
        self._paused_seconds = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._since = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._since is not None and (batch_idx + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now = time.monotonic()
        if self._since is not None:
            began, images = self._since
            numbers = pace(images=self.images_seen - images, seconds=now - began - self._paused_seconds)
            pl_module.log_dict({name: exact(value) for name, value in (numbers | memory(pl_module.device)).items()})
        self._since, self._paused_seconds = (now, self.images_seen), 0.0

    def begin_pause(self, trainer: Trainer, title: str) -> None:
        self._paused_at = time.monotonic()

    def end_pause(self, trainer: Trainer) -> None:
        if self._paused_at is not None:
            self._paused_seconds += time.monotonic() - self._paused_at
            self._paused_at = None


def pace(*, images: int, seconds: float) -> dict[str, float]:
    """The pace by logged name; nothing if there was no time or no image.

    Args:
        images: number of images of the interval, over all ranks.
        seconds: length of the interval.

    Example:
        >>> pace(images=500, seconds=2.0)
        {'speed/seconds_per_kimg': 4.0, 'speed/images_per_second': 250.0}
    """
    if images <= 0 or seconds <= 0:
        return {}
    return {"speed/seconds_per_kimg": 1000 * seconds / images, "speed/images_per_second": images / seconds}


def memory(device: torch.device) -> dict[str, float]:
    """The memory that this process takes, in GiB by logged name.

    Args:
        device: device that it trains on.
    """
    numbers = {"memory/process_gib": psutil.Process().memory_info().rss / GIB}
    if device.type == "cuda":
        numbers["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return numbers
