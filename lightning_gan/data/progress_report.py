"""Reports of how far a long work is."""

import time
from typing import final

from lightning.pytorch.utilities import rank_zero_info

_SECONDS_BETWEEN_REPORTS = 10.0


@final
class ProgressReport:
    """Reports every few seconds how many images are done, and when all are.

    Args:
        images: number of images, or of other pieces of work.
        what: what is done, as the beginning of the line.
        of: what the pieces of work are called.
    """

    def __init__(self, *, images: int, what: str, of: str = "images") -> None:
        self._images = images
        self._what = what
        self._of = of
        self._started = self._reported = time.monotonic()

    def report(self, done: int) -> None:
        """Reports that `done` of them are done, if the last report was some seconds ago or all are done."""
        now = time.monotonic()
        if now - self._reported < _SECONDS_BETWEEN_REPORTS and done < self._images:
            return
        self._reported = now
        rate = done / max(now - self._started, 1e-6)
        minutes = (self._images - done) / rate / 60
        rank_zero_info(
            f"{self._what}: {done:,} of {self._images:,} {self._of}, {rate:.0f}/s, {minutes:.1f} minutes left"
        )
