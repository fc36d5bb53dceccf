"""Compares training runs: the work of the command `compare`."""

import shutil
import sys
from pathlib import Path

from lightning_gan.inference.images_out import check_writable, write_new
from lightning_gan.inference.run_figures import curves_figure, logged_curves, measured_curves, samples_side_by_side
from lightning_gan.inference.run_files import Run, read_runs
from lightning_gan.inference.run_tables import differences, measurements, metrics_table

DEFAULT_OUT = "comparison"

PAGE = "comparison.md"
"""The page in the folder that `compare` writes."""


def compare(runs: list[str], *, out: str | None = None, any_protocol: bool = False, overwrite: bool = False) -> None:
    """Compare runs: the settings that differ, the metrics side by side, curves, and the last samples.

    The tables are printed. They are also written to OUT/comparison.md, together with the figures metrics.png,
    training.png and samples.png. Figures need matplotlib: pip install 'lightning-gan[figures]'.

    Numbers stand side by side only if they were measured in the same way: with the same extractor, counts, truncation
    and real images. Of each run, the latest such measurement in metrics.json is shown.

    Args:
        runs: folders of at least two runs, such as runs/stylegan runs/stylegan-2.
        out: the folder that is written. By default comparison, or comparison-2 and so on if that exists.
        any_protocol: show numbers side by side also if they were measured in different ways, which is then said.
        overwrite: replace files of OUT if they exist.

    Raises:
        ValueError: for fewer than two runs, for folders that are no runs, for numbers that cannot be compared, and if
            the files exist.
        ImportError: if matplotlib is not installed.
    """
    import matplotlib  # noqa: F401  (a missing package is said before anything is read)

    if len(runs) < 2:
        raise ValueError(f"compare needs at least two runs, and got {', '.join(runs)}; give another one")
    read = read_runs(runs)
    measured = measurements(read, any_protocol=any_protocol)
    folder = _folder(out)
    check_writable(folder)
    tables = [differences(read), *(metrics_table(read, one) for one in measured)]
    width = shutil.get_terminal_size().columns
    print("\n\n".join(table.plain(width=width) for table in tables))
    names = [run.name for run in read]
    of_metrics = {f"metrics/{metric}" for one in measured for metric in one.metrics}
    curves = {
        "metrics.png": measured_curves(read, measured),
        "training.png": logged_curves(read, without=sorted(of_metrics)),
    }
    files = {name: curves_figure(names, own) for name, own in curves.items() if own}
    samples = samples_side_by_side(read)
    if samples is not None:
        files["samples.png"] = samples
    for sentence in (missing := _missing(read)):
        print(sentence, file=sys.stderr)
    title = f"# {' and '.join(names)}"
    pictures = [f"## {_TITLES[name]}\n\n![{_TITLES[name]}]({name})" for name in files]
    page = "\n\n".join([title, *(table.markdown() for table in tables), *pictures, *missing]) + "\n"
    for name, contents in {**files, PAGE: page.encode()}.items():
        write_new(folder / name, contents, overwrite=overwrite)
    print(f"\nwrote {', '.join([PAGE, *files])} to {folder}")


_TITLES = {"metrics.png": "Metrics while training", "training.png": "Logged numbers", "samples.png": "Last samples"}


def _folder(out: str | None) -> Path:
    """The folder that is written: the one that was given, or the first free one of `comparison`, `comparison-2`..."""
    if out is not None:
        return Path(out)
    folder, number = Path(DEFAULT_OUT), 1
    while folder.exists():
        number += 1
        folder = Path(f"{DEFAULT_OUT}-{number}")
    return folder


def _missing(runs: list[Run]) -> list[str]:
    """Sentences about what runs do not have."""
    sentences = []
    for what, having in (
        ("metrics.json, so that there are no metrics of it", [bool(run.records) for run in runs]),
        ("log.csv, so that there are no curves of its losses", [bool(run.log) for run in runs]),
        ("grid of samples", [run.samples is not None for run in runs]),
    ):
        sentences += [f"{run.name} has no {what}." for run, has in zip(runs, having, strict=True) if not has]
    return sentences
