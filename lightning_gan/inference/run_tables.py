"""Tables of one run or several: what was trained, their settings, and their measurements side by side."""

import html
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_gan.inference.run_files import Run
from lightning_gan.metrics.report import ERROR, Record, with_errors

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
        """The table in Markdown, in which cells are plain text."""
        lines = [["", *self.columns], ["---"] * (1 + len(self.columns)), *([n, *cells] for n, cells in self.rows)]
        text = "\n".join(f"| {' | '.join(map(markdown_text, line))} |" for line in lines)
        return "\n\n".join([f"## {self.title}", *([text] if self.rows else []), *map(markdown_text, self.notes)])


def markdown_text(text: str) -> str:
    """A text as Markdown that shows it, on one line: characters of HTML and of tables are escaped.

    Example:
        >>> markdown_text("a < b | c")
        'a &lt; b &#124; c'
    """
    return " ".join(html.escape(text, quote=False).replace("|", "&#124;").split())


def overview(runs: Sequence[Run], *, parameters: Sequence[str] = ()) -> TextTable:
    """What runs have trained, as far as it is known.

    Args:
        runs: the runs.
        parameters: the numbers of parameters of each run's networks; empty if they are not known.
    """
    rows = [
        ("model", [run.settings.get("model", NONE) for run in runs]),
        ("data", [_data(run) for run in runs]),
        ("images seen", [f"{run.images_seen:,}" if run.images_seen else NONE for run in runs]),
        ("seed", [run.settings.get("seed_everything", NONE) for run in runs]),
        *([("parameters", list(parameters))] if parameters else []),
    ]
    return TextTable(title="What was trained", columns=[run.name for run in runs], rows=rows)


def _data(run: Run) -> str:
    height = run.settings.get("data.image_size", "null")
    width = run.settings.get("data.image_width", "null")
    return run.settings.get("data", NONE) + (
        "" if height == "null" else f", {height if width == 'null' else width}x{height}"
    )


def all_settings(run: Run) -> TextTable:
    """All settings of a run.

    Args:
        run: the run.
    """
    return TextTable(
        title="All settings", columns=[run.name], rows=[(name, [value]) for name, value in run.settings.items()]
    )


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
        metrics: names of the numbers, without those of their standard errors.
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
    for metric in dict.fromkeys(
        name for run in runs for record in run.records for name in with_errors(record["metrics"])
    ):
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
    for name in ("seed", "checkpoint"):
        if any(record is not None and record.get(name) is not None for record in records):
            rows.append((name, [NONE if record is None else _text(record.get(name)) for record in records]))
    for metric in measured.metrics:
        rows.append((metric, [_number(record, metric) for record in records]))
    different = measured.differing
    same = {name: value for name, value in measured.protocols[0].items() if name not in different}
    notes = [measured_with(same)]
    if different:
        listed = "; ".join(f"{name} {' and '.join(values)}" for name, values in different.items())
        notes.append(f"Not comparable: the numbers were measured in different ways ({listed}).")
    return TextTable(title="Metrics", columns=[run.name for run in runs], rows=rows, notes=notes)


def measured_with(protocol: Mapping[str, Any]) -> str:
    """The sentence that says how numbers were measured.

    Args:
        protocol: settings by name.

    Example:
        >>> measured_with({"extractor": "DigitFeatures", "remark": "for digits, not for quoting", "fake_count": 50})
        'Measured with extractor DigitFeatures, remark "for digits, not for quoting", fake count 50.'
    """
    values = {name: f'"{value}"' if ", " in str(value) else str(value) for name, value in protocol.items()}
    return "Measured with " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items()) + "."


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


def number_and_error(value: float, error: float | None) -> tuple[str, str]:
    """A number with four digits, or down to the second digit of its standard error; and the error, empty without one.

    Example:
        >>> number_and_error(24884.1, 14.6), number_and_error(0.005, 0.000998), number_and_error(0.28583, None)
        (('24884', '15'), ('0.0050', '0.0010'), ('0.2858', ''))
    """
    if error is None or error <= 0:
        return f"{value:.4g}", "" if error is None else f"{error:g}"
    decimals = max(1 - math.floor(math.log10(float(f"{error:.1e}"))), 0)  # 0.0998 has the two digits of 0.10
    return f"{value:.{decimals}f}", f"{error:.{decimals}f}"


def _number(record: Record | None, metric: str) -> str:
    if record is None or metric not in record["metrics"]:
        return NONE
    value, error = number_and_error(record["metrics"][metric], record["metrics"].get(f"{metric}{ERROR}"))
    return f"{value} ± {error}" if error else value


def _text(value: object) -> str:
    return NONE if value is None else str(value)


def _yes(record: Record | None) -> str:
    return NONE if record is None or "ema" not in record else "yes" if record["ema"] else "no"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
