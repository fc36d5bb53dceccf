"""Tables of several runs: the settings in which they differ, and their measurements side by side."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning_gan.inference.run_files import Run
from lightning_gan.metrics.report import Record

NONE = "–"
"""What stands in a cell without a value."""

NO_PROTOCOL = ("stage", "kimg", "checkpoint", "weights", "trained_here", "seed", "ema", "torch", "metrics")
"""Entries of a record that say what was measured and not how. Numbers that differ in others are not comparable."""

SMALLEST_CELL = 12
"""Smallest width, in characters, that cells are cut to."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of texts, with a column for each run.

    Attributes:
        title: what the table shows.
        columns: names of the runs.
        rows: name of each row, and its cells.
        notes: sentences that stand below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    notes: Sequence[str] = ()

    def plain(self, *, width: int) -> str:
        """The table as aligned text. Long cells are cut.

        Args:
            width: width of the terminal in characters.

        Example:
            >>> table = TextTable(title="settings", columns=["a", "b"], rows=[("gamma", ["1.0", "a very long value"])])
            >>> print(table.plain(width=40))
            settings
                   a    b
            gamma  1.0  a very long ...
        """
        left = max((len(name) for name, _ in self.rows), default=0)
        room = max((width - left) // max(len(self.columns), 1) - 2, SMALLEST_CELL)
        lines = [["", *self.columns], *([name, *cells] for name, cells in self.rows)]
        cut = [[line[0], *(_cut(cell, room) for cell in line[1:])] for line in lines]
        widths = [max(len(cell) for cell in column) for column in zip(*cut, strict=True)]
        aligned = ("  ".join(f"{cell:<{wide}}" for cell, wide in zip(line, widths, strict=True)) for line in cut)
        notes = [line for note in self.notes for line in textwrap.wrap(note, width=max(width, 40))]
        return "\n".join([self.title, *(line.rstrip() for line in aligned), *notes])

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [["", *self.columns], ["---"] * (1 + len(self.columns)), *([n, *cells] for n, cells in self.rows)]
        text = "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
        return "\n\n".join([f"## {self.title}", text, *self.notes])


def differences(runs: Sequence[Run]) -> TextTable:
    """The settings in which runs differ, without their names.

    Args:
        runs: the runs.
    """
    names = dict.fromkeys(name for run in runs for name in run.settings if name != "name")
    rows = [(name, [run.settings.get(name, NONE) for run in runs]) for name in names]
    # A setting that only some runs have, and that is null in them, says nothing beside the line of its class.
    rows = [(name, cells) for name, cells in rows if len(set(cells)) > 1 and set(cells) != {NONE, "null"}]
    notes = [] if rows else ["All settings are the same."]
    return TextTable(title="Settings that differ", columns=[run.name for run in runs], rows=rows, notes=notes)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement of several runs that was made in the same way.

    Attributes:
        metrics: names of the numbers.
        records: the latest record of each run; None for runs that were not measured like that.
        protocols: how each of `records` was measured.
    """

    metrics: list[str]
    records: list[Record | None]
    protocols: list[dict[str, Any]]

    @property
    def differing(self) -> dict[str, list[str]]:
        """The settings in which the protocols differ, which are none without `any_protocol`."""
        return _differing(self.protocols)


def measurements(runs: Sequence[Run], *, any_protocol: bool) -> list[Measured]:
    """The latest measurements of runs, those of one kind and one protocol together.

    Of each run the latest record is taken of a protocol that all runs with this number have.

    Args:
        runs: the runs.
        any_protocol: whether numbers that were measured in different ways may stand side by side.

    Raises:
        ValueError: if a number was measured in different ways, and `any_protocol` is not set.
    """
    found: dict[str, Measured] = {}
    for metric in dict.fromkeys(name for run in runs for record in run.records for name in record["metrics"]):
        latest = [_latest_by_protocol(run, metric) for run in runs]
        having = [own for own in latest if own]
        common = [key for key in having[0] if all(key in own for own in having)]
        if not common and not any_protocol:
            raise ValueError(_refusal(metric, runs, [list(own.values())[-1] if own else None for own in latest]))
        records = [(own[common[-1]] if common else list(own.values())[-1]) if own else None for own in latest]
        place = json.dumps([None if record is None else id(record) for record in records])
        protocols = [protocol_of(run, rec) for run, rec in zip(runs, records, strict=True) if rec is not None]
        found.setdefault(place, Measured(metrics=[], records=records, protocols=protocols)).metrics.append(metric)
    return list(found.values())


def metrics_table(runs: Sequence[Run], measured: Measured) -> TextTable:
    """The numbers of a measurement, and how it was made.

    Args:
        runs: the runs.
        measured: their measurement.
    """
    records = measured.records
    rows = [("kimg", [NONE if record is None else f"{record['kimg']:g}" for record in records])]
    if any(record is not None and "ema" in record for record in records):
        rows.append(("averaged weights", [_yes(record) for record in records]))
    for metric in measured.metrics:
        rows.append((metric, [_number(record, metric) for record in records]))
    different = measured.differing
    same = {name: value for name, value in measured.protocols[0].items() if name not in different}
    notes = ["Measured with " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in same.items()) + "."]
    if different:
        listed = "; ".join(f"{name} {' and '.join(values)}" for name, values in different.items())
        notes.append(f"Not comparable: the numbers were measured in different ways ({listed}).")
    return TextTable(title="Metrics", columns=[run.name for run in runs], rows=rows, notes=notes)


def protocol_of(run: Run, record: Record) -> dict[str, Any]:
    """How a record was measured: all settings that its numbers depend on, and the real images.

    Args:
        run: the run that the record is of.
        record: the record.
    """
    settings = {name: value for name, value in record.items() if name not in NO_PROTOCOL}
    return settings | {f"data: {name}": value for name, value in run.data.items()}


def _latest_by_protocol(run: Run, metric: str) -> dict[str, Record]:
    """The latest record with a number for each protocol; the one that was measured last is the last."""
    latest: dict[str, Record] = {}
    for record in run.records:
        if metric in record["metrics"]:
            key = json.dumps(protocol_of(run, record), sort_keys=True)
            latest.pop(key, None)
            latest[key] = record
    return latest


def _refusal(metric: str, runs: Sequence[Run], records: Sequence[Record | None]) -> str:
    pairs = [(run, record) for run, record in zip(runs, records, strict=True) if record is not None]
    protocols = [protocol_of(run, record) for run, record in pairs]
    names = list(_differing(protocols))
    ways = "; ".join(
        f"{run.name} with {', '.join(f'{name}={protocol.get(name)}' for name in names)}"
        for (run, _), protocol in zip(pairs, protocols, strict=True)
    )
    return (
        f"{metric} was measured in different ways and cannot be compared: {ways}; measure again with the same settings "
        "(lightning-gan test), or give --any_protocol"
    )


def _differing(protocols: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for protocol in protocols for name in protocol)
    values = {name: [str(protocol.get(name, NONE)) for protocol in protocols] for name in names}
    return {name: list(dict.fromkeys(texts)) for name, texts in values.items() if len(set(texts)) > 1}


def _number(record: Record | None, metric: str) -> str:
    return NONE if record is None or metric not in record["metrics"] else f"{record['metrics'][metric]:.4g}"


def _yes(record: Record | None) -> str:
    return NONE if record is None or "ema" not in record else "yes" if record["ema"] else "no"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
