"""The JSON file of a run's evaluation records. It belongs to the weights of one run, and a broken one is never lost."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from lightning_gan.atomic_files import written_whole
from lightning_gan.metrics.report import Record


class Written(NamedTuple):
    """Where a record was written.

    Attributes:
        path: path of the file that contains the record.
        broken: path to which a file that could not be read was renamed; None if there was none.
    """

    path: Path
    broken: Path | None


def write_record(record: Record, path: Path) -> Written:
    """Adds a record to the list in a JSON file, and removes one with equal settings.

    The file is written under a temporary name and renamed, so that it is never incomplete. It belongs to the weights of
    one run: a record of other weights ("trained_here" is false) goes to `NAME_of_other_weights.json` if the file has
    records of the run. Weights that equal those of a record of the run ("weights") are the run's. A file that is no
    list of records in valid JSON is renamed to `NAME_broken_1.json`, `NAME_broken_2.json` and so on.

    Args:
        record: the record. Without "trained_here" it is one of the run.
        path: path of the file, which is made if it does not exist.

    Raises:
        ValueError: if a number of the record is not finite, because JSON has no such numbers.
    """
    records, broken = _read(path)
    own = [entry for entry in records if entry.get("trained_here", True)]
    if not record.get("trained_here", True):
        if any(entry.get("weights") == record["weights"] for entry in own):
            record = record | {"trained_here": True}
        elif own:
            path = path.with_name(f"{path.stem}_of_other_weights{path.suffix}")
            records, broken = _read(path)
    records = [entry for entry in records if _settings(entry) != _settings(record)] + [record]
    text = json.dumps(records, indent=2, allow_nan=False)
    with written_whole(path) as file:
        file.write(text.encode())
    return Written(path, broken)


def set_aside(path: Path, *, reason: str) -> Path | None:
    """Renames a file to a name that no file has, such as `metrics_broken_1.json`.

    Args:
        path: path of the file.
        reason: what follows the file's name, such as "broken".

    Returns:
        The new path; None if there is no file.
    """
    if not path.exists():
        return None
    number = 1
    while (kept := path.with_name(f"{path.stem}_{reason}_{number}{path.suffix}")).exists():
        number += 1
    os.rename(path, kept)
    return kept


def _settings(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "metrics"}


def _read(path: Path) -> tuple[list[Record], Path | None]:
    """The records of a file, and the new path of one that cannot be read."""
    if not path.exists():
        return [], None
    try:
        records: Any = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except ValueError:
        records = None
    if isinstance(records, list) and all(isinstance(entry, dict) for entry in records):
        return records, None
    return [], set_aside(path, reason="broken")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON; write numbers that are finite")
