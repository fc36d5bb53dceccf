"""A table of all logged numbers as a CSV file, which a resumed run continues.

Lightning's `CSVLogger` deletes or numbers the file of an earlier run, and writes several rows for one step.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lightning_gan.atomic_files import written_whole
from lightning_gan.metrics.record_file import set_aside

STEP = "step"
"""Name of the column with the position of a row on the axis of the loggers: in a `GAN`, the number of images seen."""


class CSVLog(Logger):
    """A logger that writes all numbers to one CSV file: a row for each step, a column for each number.

    Numbers that are logged at the same step share a row. A cell is empty where a number was not logged. When a number
    is logged for the first time, the file gets a column.

    A `GAN` tells the logger where training goes on (`continue_after`). Rows of later steps, of the time between the
    checkpoint and the end of the earlier run, are then removed, because training makes them again. When a training
    begins, the file of an earlier one is renamed to `log_of_earlier_run_1.csv`. In other modules, the first step that
    is logged decides.

    Args:
        path: path of the file, such as `runs/stylegan/log.csv`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] | None = None  # None until it is known whether there is an earlier file
        self._row: dict[str, str] = {}
        self._row_begins_at = 0  # in bytes

    @property
    def name(self) -> str:
        """The name of the file, without its ending."""
        return self.path.stem

    @property
    def version(self) -> str:
        """An empty text, because there is one file."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder of the file."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because the configuration of the run has them."""

    @rank_zero_only
    def continue_after(self, step: int) -> None:
        """Remove the rows after a step. At step 0, the file of an earlier run is renamed.

        Args:
            step: last step that training does not make again; 0 if it begins.

        Raises:
            ValueError: if there is a file with another content.
        """
        self._columns, self._row = [], {}
        if step <= 0:
            kept = set_aside(self.path, reason="of_earlier_run")
            if kept is not None:
                rank_zero_info(f"CSVLog: the log of an earlier run was renamed to {kept}")
        elif self.path.is_file() and (rows := read_log(self.path)):
            self._columns = list(rows[0])
            self._write([row for row in rows if int(row[STEP]) <= step])

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | float | None = None) -> None:
        """Write numbers to the row of a step.

        Args:
            metrics: the numbers by name.
            step: position on the axis; None adds to the latest row.
        """
        step = int(self._row.get(STEP, 0)) if step is None else int(step)
        if self._columns is None:
            self.continue_after(step - 1)
        assert self._columns is not None
        if self._row.get(STEP) != str(step):
            self._row = {STEP: str(step)}
            self._row_begins_at = self.path.stat().st_size if self.path.is_file() else 0
        self._row |= {name: f"{float(value):.9g}" for name, value in metrics.items()}  # all digits that fp32 has
        new = [name for name in self._row if name not in self._columns]
        if not new and self.path.is_file():
            self._replace_row()
            return
        self._columns += new
        rows = read_log(self.path) if self.path.is_file() else []
        has_row = bool(rows) and rows[-1][STEP] == str(step)
        self._write([*(rows[:-1] if has_row else rows), self._row])

    def _write(self, rows: Sequence[dict[str, str]]) -> None:
        """Write the whole file anew. The last row may change later."""
        assert self._columns is not None
        titles = {column: column for column in self._columns}
        before = self._lines([titles, *rows[:-1]])
        self._row, self._row_begins_at = dict(rows[-1]) if rows else {}, len(before)
        with written_whole(self.path) as file:
            file.write(before + self._lines(rows[-1:]))

    def _replace_row(self) -> None:
        """Write the present row to the end of the file, in place of its earlier state."""
        with self.path.open("r+b") as file:
            file.truncate(self._row_begins_at)
            file.seek(self._row_begins_at)
            file.write(self._lines([self._row]))

    def _lines(self, rows: Sequence[dict[str, str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, fieldnames=self._columns or [], restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a file of `CSVLog`, in order: the text of each cell by the name of its column.

    A row that a killed process has not finished is left out.

    Args:
        path: path of the file.

    Raises:
        ValueError: if the file is no such table.
    """
    text = path.read_text(encoding="utf-8")
    finished = text[: text.rfind("\n") + 1]
    rows = list(csv.DictReader(io.StringIO(finished, newline="")))
    if any(not (row.get(STEP) or "").isdecimal() or None in row or None in row.values() for row in rows):
        raise ValueError(f"{path} is no table with a whole number in the column {STEP!r} of each row; move it away")
    return rows


def continue_logs(trainer: Trainer, *, images_seen: int) -> None:
    """Tell the trainer's `CSVLog`s where training goes on.

    Args:
        trainer: trainer that begins to train.
        images_seen: images that training has used.
    """
    for logger in trainer.loggers:
        if isinstance(logger, CSVLog):
            logger.continue_after(images_seen)
