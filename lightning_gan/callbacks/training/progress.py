"""A progress bar in thousands of images, with the pace, the remaining time and the phase of growing."""

import math
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.trainer.states import TrainerFn

from lightning_gan.callbacks.training.pauses import SeesPauses
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing
from lightning_gan.callbacks.training.stopping import StopAtKimg
from lightning_gan.compat import join_mirror
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.schedules.growth import Growth

REFRESH_SECONDS = 0.5
"""Seconds between updates on a terminal; each update waits for the device once, to read the losses."""

WIDEST_BAR, NARROWEST_BAR = 20, 5
"""Largest and smallest width of the bar itself, in characters. On a narrow terminal there is none."""


def progress_parts(
    *,
    kimg: float,
    total_kimg: float | None,
    seconds_per_kimg: float | None,
    growth: Growth | None,
    losses: dict[str, float],
    unit: str = "kimg",
) -> list[str]:
    """Returns the parts of a line about the state of training, the most important ones first.

    Args:
        kimg: thousands of images seen.
        total_kimg: thousands of images at which training ends; None if that is not known.
        seconds_per_kimg: current pace in seconds per thousand images; None if it is not known yet.
        growth: phase of progressive growing; None if no network grows.
        losses: latest values of the losses, by name.
        unit: unit of `kimg` in the text; a `GAN` without images counts something else in thousands.

    Example:
        >>> growth = Growth(resolution=16, fade_in=0.43)
        >>> parts = progress_parts(
        ...     kimg=12.3, total_kimg=100.0, seconds_per_kimg=10.0, growth=growth, losses={"loss": 0.5}
        ... )
        >>> " | ".join(parts)
        '12.3/100.0 kimg | 16x16 fading 43 % | 10.0 sec/kimg | ETA 0:14:37 | loss 0.500'
    """
    parts = [f"{kimg:.1f} {unit}" if total_kimg is None else f"{kimg:.1f}/{total_kimg:.1f} {unit}"]
    if growth is not None:
        phase = "stable" if growth.fade_in >= 1.0 else f"fading {100 * growth.fade_in:.0f} %"
        parts.append(f"{growth.resolution}x{growth.resolution} {phase}")
    if seconds_per_kimg is not None:
        parts.append(f"{seconds_per_kimg:.1f} sec/{unit}")
        if total_kimg is not None:
            parts.append(f"ETA {remaining(seconds_per_kimg * max(total_kimg - kimg, 0.0))}")
    return parts + [f"{name} {value:.3f}" for name, value in losses.items()]


def remaining(seconds: float) -> str:
    """Returns a time in hours, minutes and seconds, or in days and hours if it is a day or more.

    Example:
        >>> remaining(3725.0), remaining(200_000.0)
        ('1:02:05', '2 d 7 h')
    """
    days, rest = divmod(round(seconds), 86400)
    return f"{days} d {rest // 3600} h" if days else str(timedelta(seconds=rest))


def terminal_line(parts: Sequence[str], *, share: float | None, columns: int) -> str:
    """Returns a line with a bar that is shorter than the terminal is wide. Last parts that do not fit are left out.

    Args:
        parts: parts of the text, the most important ones first.
        share: share of the work that is done, in [0, 1]; None draws no bar.
        columns: width of the terminal in characters.

    Example:
        >>> terminal_line(["1.0/2.0 kimg", "9.0 sec/kimg", "ETA 0:00:09"], share=0.5, columns=40)
        ' 50%|██   | 1.0/2.0 kimg | 9.0 sec/kimg'
        >>> terminal_line(["1.0/2.0 kimg", "9.0 sec/kimg"], share=0.5, columns=20)
        ' 50% 1.0/2.0 kimg'
    """
    percentage = "" if share is None else f"{100 * share:3.0f}%"
    room = columns - 1 - len(percentage) - 1  # terminals begin a new line after the last column
    text = parts[0][: max(room, 0)]
    for part in parts[1:]:
        if len(text) + len(f" | {part}") > room:
            break
        text += f" | {part}"
    width = min(room - len(text) - len("||"), WIDEST_BAR)
    if share is None:
        return text
    if width < NARROWEST_BAR:
        return f"{percentage} {text}"
    return f"{percentage}|{'█' * round(width * share):<{width}}| {text}"


class KimgProgressBar(ImageClock, SeesPauses, TQDMProgressBar):
    """Shows one progress bar on a terminal; elsewhere, as in a log file, it prints a line at intervals.

    While a model trains, the bar shows images seen; in pauses, in which callbacks measure, draw or save, it shows what
    they do and how far they are; and in `validate` and `test` the batches that are read. It is never wider than the
    terminal.

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
        self._bar: Tqdm | None = None
        self._shown_at = -math.inf  # a monotonic clock may begin anywhere, on Linux when the machine was started
        self._pace_since = (0.0, 0)
        self._pace_resolution: int | None = None
        self._pause: str | None = None
        join_mirror(self, TQDMProgressBar)

    @property
    def is_disabled(self) -> bool:
        # The parent class reads this: without a terminal, its bars would fill a log file with carriage returns.
        return not (self.is_enabled and self._on_terminal)

    @property
    def _on_terminal(self) -> bool:
        return sys.stdout.isatty() if self.terminal is None else self.terminal

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        if self._bar is None:
            print(*args, sep=sep, **kwargs)
        else:
            self._bar.write(sep.join(map(str, args)), **kwargs)

    # ------------------------------------------------------------------ training

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ImageClock.on_train_start(self, trainer, pl_module)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        self._total_kimg = min((c.total_kimg for c in callbacks if isinstance(c, StopAtKimg)), default=None)
        self._growing = next((c for c in callbacks if isinstance(c, ProgressiveGrowing)), None)
        self._pace_since = (time.monotonic(), self.images_seen)
        self._shown_at = -math.inf
        self._open(leave=True)

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
            self._show_training(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because the bar counts images, not epochs."""

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        self._show_training(trainer)
        self._close()

    def _show_training(self, trainer: Trainer) -> None:
        if not self.is_enabled:
            return
        start, images = self._pace_since
        played = self.images_seen - images
        parts = progress_parts(
            kimg=self.kimg,
            total_kimg=self._total_kimg,
            seconds_per_kimg=1000 * (time.monotonic() - start) / played if played else None,
            growth=None if self._growing is None else self._growing.growth,
            losses=_losses(trainer, short=self._on_terminal),
            unit=host_of(trainer.lightning_module).clock_unit,
        )
        if self._on_terminal:
            total = self._total_kimg
            self._show(parts, share=None if total is None else min(self.kimg / total, 1.0))
        else:
            print(" | ".join(parts), flush=True)
        self._shown_at = time.monotonic()

    # ------------------------------------------------------------------ pauses

    def begin_pause(self, trainer: Trainer, title: str) -> None:
        self._pause = title

    def show_work(self, trainer: Trainer, *, what: str, done: int, of: int | None) -> None:
        if self._pause is None:
            return
        counted = f"{done:,}" if of is None else f"{done:,} of {of:,}"
        self._show_now_and_then([f"{self._pause}: {counted} {what}"], done=done, of=of)

    def end_pause(self, trainer: Trainer) -> None:
        self._pause = None

    # ------------------------------------------------------------------ validate and test

    def on_sanity_check_start(self, *_: Any) -> None:
        """Does nothing, because the check takes a few batches."""

    def on_sanity_check_end(self, *_: Any) -> None:
        """Does nothing, because no bar was made."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_loop(trainer)

    def on_validation_batch_start(self, *_: Any) -> None:
        """Does nothing, because the bar is shown when a batch ends."""

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self._show_batch("validation", batch_idx + 1, trainer.num_val_batches[dataloader_idx])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_loop(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_loop(trainer)

    def on_test_batch_start(self, *_: Any) -> None:
        """Does nothing, because the bar is shown when a batch ends."""

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._show_batch("test", batch_idx + 1, trainer.num_test_batches[dataloader_idx])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_loop(trainer)

    def _begin_loop(self, trainer: Trainer) -> None:
        self._shown_at = time.monotonic()  # a loop that ends at once shows no bar
        if trainer.state.fn != TrainerFn.FITTING:
            self._open(leave=False)

    def _show_batch(self, loop: str, done: int, total: int | float) -> None:
        of = None if total == math.inf else int(total)
        counted = f"{done:,}" if of is None else f"{done:,} of {of:,}"
        self._show_now_and_then([f"{loop}: batch {counted}"], done=done, of=of)

    def _end_loop(self, trainer: Trainer) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._close()

    # ------------------------------------------------------------------ the bar

    def _open(self, *, leave: bool) -> None:
        self._close()
        if not self.is_disabled:
            self._bar = Tqdm(leave=leave, file=sys.stdout, bar_format="{desc}")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_now_and_then(self, parts: Sequence[str], *, done: int, of: int | None) -> None:
        if self._on_terminal and time.monotonic() - self._shown_at >= REFRESH_SECONDS:
            self._show(parts, share=min(done / of, 1.0) if of else None)
            self._shown_at = time.monotonic()

    def _show(self, parts: Sequence[str], *, share: float | None) -> None:
        if self._bar is None:
            return
        columns = shutil.get_terminal_size().columns
        self._bar.set_description_str(terminal_line(parts, share=share, columns=columns))


def _losses(trainer: Trainer, *, short: bool) -> dict[str, float]:
    """The values that were logged for the progress bar, and the adversarial losses of a `GAN`.

    Args:
        trainer: trainer that has the values.
        short: whether the losses are named D and G, as on a terminal.
    """
    names = {"discriminator": "D", "generator": "G"} if short else {}
    logged = {
        names.get(player := name.removesuffix("/adversarial"), player): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.endswith("/adversarial")
    }
    shown = {
        name: float(value) for name, value in trainer.progress_bar_metrics.items() if isinstance(value, int | float)
    }
    return logged | shown
