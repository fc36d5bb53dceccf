"""A progress bar in thousands of images, with the pace, the remaining time and the phase of growing."""

import math
import sys
import time
from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing
from lightning_gan.callbacks.training.stopping import StopAtKimg
from lightning_gan.compat import join_mirror
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.schedules.growth import Growth

REFRESH_SECONDS = 0.5
"""Seconds between updates on a terminal; each update waits for the device once, to read the losses."""


def progress_text(
    *,
    kimg: float,
    total_kimg: float | None,
    seconds_per_kimg: float | None,
    growth: Growth | None,
    losses: dict[str, float],
    unit: str = "kimg",
) -> str:
    """Returns one line about the state of training.

    Args:
        kimg: thousands of images seen.
        total_kimg: thousands of images at which training ends; None if that is not known.
        seconds_per_kimg: current pace in seconds per thousand images; None if it is not known yet.
        growth: phase of progressive growing; None if no network grows.
        losses: latest values of the losses, by name.
        unit: unit of `kimg` in the text; a `GAN` without images counts something else in thousands.

    Example:
        >>> growth = Growth(resolution=16, fade_in=0.43)
        >>> progress_text(kimg=12.3, total_kimg=100.0, seconds_per_kimg=10.0, growth=growth, losses={"loss": 0.5})
        '12.3/100.0 kimg | 16x16 fading 43 % | 10.0 sec/kimg | ETA 0:14:37 | loss 0.500'
    """
    parts = [f"{kimg:.1f} {unit}" if total_kimg is None else f"{kimg:.1f}/{total_kimg:.1f} {unit}"]
    if growth is not None:
        phase = "stable" if growth.fade_in >= 1.0 else f"fading {100 * growth.fade_in:.0f} %"
        parts.append(f"{growth.resolution}x{growth.resolution} {phase}")
    if seconds_per_kimg is not None:
        parts.append(f"{seconds_per_kimg:.1f} sec/{unit}")
        if total_kimg is not None:
            parts.append(f"ETA {timedelta(seconds=round(seconds_per_kimg * max(total_kimg - kimg, 0.0)))}")
    parts += [f"{name} {value:.3f}" for name, value in losses.items()]
    return " | ".join(parts)


class KimgProgressBar(ImageClock, TQDMProgressBar):
    """Shows a progress bar of images on a terminal; elsewhere, as in a log file, it prints a line at intervals.

    The pace, from which the remaining time is computed, is measured since the active resolution began. It includes
    pauses for samples and evaluations, but not that later resolutions are slower. The total is that of `StopAtKimg`,
    or the smallest total if there are several.

    Args:
        line_seconds: seconds between printed lines if the output is no terminal.
        terminal: whether the output is a terminal; None detects it.
    """

    def __init__(self, *, line_seconds: float = 30.0, terminal: bool | None = None) -> None:
        TQDMProgressBar.__init__(self)
        self.line_seconds = line_seconds
        self.terminal = terminal
        self._total_kimg: float | None = None
        self._growing: ProgressiveGrowing | None = None
        self._shown_at = -math.inf  # a monotonic clock may begin anywhere, on Linux when the machine was started
        self._pace_since = (0.0, 0)
        self._pace_resolution: int | None = None
        join_mirror(self, TQDMProgressBar)

    @property
    def is_disabled(self) -> bool:
        # The parent class reads this: without a terminal, its bars would fill a log file with carriage returns.
        return not (self.is_enabled and self._on_terminal)

    @property
    def _on_terminal(self) -> bool:
        return sys.stdout.isatty() if self.terminal is None else self.terminal

    def init_train_tqdm(self) -> Tqdm:
        return Tqdm(
            total=self._total_kimg,
            initial=self.kimg,
            disable=self.is_disabled,
            leave=True,
            dynamic_ncols=True,
            file=sys.stdout,
            bar_format="{desc}" if self._total_kimg is None else "{percentage:3.0f}%|{bar:20}| {desc}",
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ImageClock.on_train_start(self, trainer, pl_module)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        self._total_kimg = min((c.total_kimg for c in callbacks if isinstance(c, StopAtKimg)), default=None)
        self._growing = next((c for c in callbacks if isinstance(c, ProgressiveGrowing)), None)
        self._pace_since = (time.monotonic(), self.images_seen)
        self._shown_at = -math.inf
        TQDMProgressBar.on_train_start(self)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Does nothing, because the bar counts images, not epochs."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        ImageClock.on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx)
        growth = None if self._growing is None else self._growing.growth
        if growth is not None and growth.resolution != self._pace_resolution:
            # The pace is measured from the end of the first batch, which takes longer than later ones.
            self._pace_since = (time.monotonic(), self.images_seen)
            self._pace_resolution = growth.resolution
        if time.monotonic() - self._shown_at >= (REFRESH_SECONDS if self._on_terminal else self.line_seconds):
            self._show(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because the bar counts images, not epochs."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.val_progress_bar.close()
        self.reset_dataloader_idx_tracker()

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        if self._on_terminal:
            super().print(*args, sep=sep, **kwargs)
        else:
            print(*args, sep=sep, **kwargs)

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        self._show(trainer)
        self.train_progress_bar.close()

    def _show(self, trainer: Trainer) -> None:
        if not self.is_enabled:
            return
        start, images = self._pace_since
        played = self.images_seen - images
        text = progress_text(
            kimg=self.kimg,
            total_kimg=self._total_kimg,
            seconds_per_kimg=1000 * (time.monotonic() - start) / played if played else None,
            growth=None if self._growing is None else self._growing.growth,
            losses=_losses(trainer),
            unit=host_of(trainer.lightning_module).clock_unit,
        )
        if self._on_terminal:
            self.train_progress_bar.n = min(self.kimg, self._total_kimg or self.kimg)
            self.train_progress_bar.set_description_str(text)
        else:
            print(text, flush=True)
        self._shown_at = time.monotonic()


def _losses(trainer: Trainer) -> dict[str, float]:
    """The values that were logged for the progress bar, and the adversarial losses of a `GAN`."""
    logged = {
        name.removesuffix("/adversarial"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.endswith("/adversarial")
    }
    shown = {
        name: float(value) for name, value in trainer.progress_bar_metrics.items() if isinstance(value, int | float)
    }
    return logged | shown
