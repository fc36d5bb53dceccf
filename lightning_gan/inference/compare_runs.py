"""Compares training runs: the work of the command `compare`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from lightning_gan.inference.html_page import Section, page, pictures
from lightning_gan.inference.images_out import check_writable, write_new
from lightning_gan.inference.run_figures import Curve, curves_figure, measured_curves, samples_side_by_side
from lightning_gan.inference.run_files import Run, read_runs
from lightning_gan.inference.run_sections import (
    LAST_SAMPLES,
    LOGGED,
    WHILE_TRAINING,
    curve_section,
    curves_of_training,
    grid_picture,
    missing,
    missing_section,
    table_section,
)
from lightning_gan.inference.run_tables import (
    TextTable,
    differences,
    markdown_text,
    measurements,
    metrics_table,
    overview,
)

DEFAULT_OUT = "comparison"

PAGE = "comparison.md"
"""The page in Markdown in the folder that `compare` writes."""

HTML = "comparison.html"
"""The page in HTML in that folder."""


def compare(runs: list[str], *, out: str | None = None, any_protocol: bool = False, overwrite: bool = False) -> None:
    """Compare runs: the settings that differ, the metrics side by side, curves, and the last samples.

    The tables are printed. OUT/comparison.html is a page with tables, curves and samples in one file, which needs no
    network and can be sent to others. OUT/comparison.md has the tables, too, with the figures metrics.png,
    training.png and samples.png beside it. Figures need matplotlib: pip install 'lightning-gan[figures]'.

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
    tables = [overview(read), differences(read), *(metrics_table(read, one) for one in measured)]
    width = shutil.get_terminal_size().columns
    print("\n\n".join(table.plain(width=width) for table in tables))
    names = [run.name for run in read]
    curves = {
        "metrics.png": (WHILE_TRAINING, measured_curves(read, measured)),
        "training.png": (LOGGED, curves_of_training(read, measured)),
    }
    shown = {name: (title, own) for name, (title, own) in curves.items() if own}
    files = {name: curves_figure(names, own) for name, (_, own) in shown.items()}
    titles = {name: title for name, (title, _) in shown.items()}
    samples = samples_side_by_side(read)
    if samples is not None:
        files["samples.png"], titles["samples.png"] = samples, LAST_SAMPLES
    for sentence in (lacks := missing(read)):
        print(sentence, file=sys.stderr)
    title = " and ".join(names)
    figures = [f"## {title}\n\n![{title}]({name})" for name, title in titles.items()]
    parts = [f"# {markdown_text(title)}", *(table.markdown() for table in tables), *figures, *map(markdown_text, lacks)]
    html = page(
        title=title,
        summary=f"A comparison of {len(read)} training runs.",
        head=Markup(""),
        sections=[*_sections(read, tables, list(shown.values())), *missing_section(lacks)],
        footer="Made by lightning-gan compare.",
    )
    for name, contents in {**files, PAGE: ("\n\n".join(parts) + "\n").encode(), HTML: html}.items():
        write_new(folder / name, contents, overwrite=overwrite)
    print(f"\nwrote {HTML}, {PAGE} and {len(files)} figures to {folder}")


def _sections(
    runs: Sequence[Run], tables: Sequence[TextTable], curves: Sequence[tuple[str, dict[str, list[Curve]]]]
) -> list[Section]:
    """The sections of the page in HTML."""
    of_runs, of_settings, *of_metrics = tables
    grids = [grid_picture(run, run.samples) for run in runs if run.samples is not None]
    return [
        table_section(of_runs),
        *([table_section(*of_metrics)] if of_metrics else []),
        *(curve_section(title, runs, own, notes=[]) for title, own in curves),
        *([Section(title=LAST_SAMPLES, content=pictures(grids))] if grids else []),
        table_section(of_settings),
    ]


def _folder(out: str | None) -> Path:
    """The folder that is written: the one that was given, or the first free one of `comparison`, `comparison-2`..."""
    if out is not None:
        return Path(out)
    folder, number = Path(DEFAULT_OUT), 1
    while folder.exists():
        number += 1
        folder = Path(f"{DEFAULT_OUT}-{number}")
    return folder
