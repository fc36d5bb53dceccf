"""Reports of how far a long work on images is."""

import time
from typing import final

from lightning.pytorch.utilities import rank_zero_info

_SECONDS_BETWEEN_REPORTS = 10.0


@final
class ProgressReport:
    """Reports every few seconds how many images are done, and when all are.

    Args:
        images: number of images.
        what: what is done, as the beginning of the line.
    """

    def __init__(self, *, images: int, what: str) -> None:
        self._images = images
        self._what = what
        self._started = self._reported = time.monotonic()

    def report(self, done: int) -> None:
        """Reports that `done` images are done, if the last report was some seconds ago or all are done."""
        now = time.monotonic()
        if now - self._reported < _SECONDS_BETWEEN_REPORTS and done < self._images:
            return
        self._reported = now
        rate = done / max(now - self._started, 1e-6)
        minutes = (self._images - done) / rate / 60
        rank_zero_info(f"{self._what}: {done:,} of {self._images:,} images, {rate:.0f}/s, {minutes:.1f} minutes left")
