"""The parts that the pages of `report` and `compare` have in common, and what the files of runs lack for them."""

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from lightning_gan.inference.html_page import Picture, Section, curve_panels, html_table, picture_at, sentences
from lightning_gan.inference.run_figures import Curve, logged_curves, measured_curves
from lightning_gan.inference.run_files import KimgPicture, Run
from lightning_gan.inference.run_tables import Measured, TextTable, measured_with, measurements

LOGGED = "Logged numbers"

WHILE_TRAINING = "Metrics while training"

LAST_SAMPLES = "Last samples"


def table_section(*tables: TextTable, is_folded: bool = False) -> Section:
    """A section of tables with one title.

    Args:
        tables: the tables, at least one.
        is_folded: whether it is closed until the reader opens it.
    """
    return Section(title=tables[0].title, content=Markup("\n").join(map(html_table, tables)), is_folded=is_folded)


def curve_section(title: str, runs: Sequence[Run], curves: dict[str, list[Curve]], *, notes: Sequence[str]) -> Section:
    """A section with a panel for each number.

    Args:
        title: title of the section.
        runs: the runs.
        curves: curves of each number, at least one.
        notes: sentences below.
    """
    shown = curve_panels([run.name for run in runs], curves)
    return Section(title=title, content=Markup("{}\n{}").format(shown, sentences(notes)))


def curves_of_training(runs: Sequence[Run], measured: Sequence[Measured]) -> dict[str, list[Curve]]:
    """Curves of all logged numbers that are not among the measured ones.

    Args:
        runs: the runs.
        measured: what was measured of them.
    """
    return logged_curves(runs, without=sorted({f"metrics/{metric}" for one in measured for metric in one.metrics}))


def curves_of_metrics(run: Run) -> tuple[dict[str, list[Curve]], list[str]]:
    """Curves of what was measured while a run trained, and the sentences that say how.

    Args:
        run: the run.
    """
    fitted = replace(run, records=[record for record in run.records if record.get("stage") == "fit"])
    measured = measurements([fitted], any_protocol=False)
    curves = measured_curves([fitted], measured)
    shown = [one for one in measured if any(metric in curves for metric in one.metrics)]
    notes = [measured_with(one.protocols[0]) for one in shown]
    if any(curve.errors for own in curves.values() for curve in own):
        notes.append("A band is one standard error wide on each side of its curve.")
    return curves, list(dict.fromkeys(notes))


def grid_picture(run: Run, grid: KimgPicture) -> Picture:
    """A grid of samples as a part of a page.

    Args:
        run: the run.
        grid: one of its grids.

    Raises:
        ValueError: if the file cannot be read as a picture.
    """
    return picture_at(
        grid.path,
        name=f"{grid.kimg:g} kimg",
        alt=f"A grid of images that {run.name} generates after {grid.kimg:g} kimg of training.",
        caption=f"{run.name}, {grid.kimg:g} kimg.",
    )


def missing(runs: Sequence[Run]) -> list[str]:
    """Sentences about what runs do not have.

    Args:
        runs: the runs.
    """
    lacks = []
    for what, having in (
        ("metrics.json, so that there are no metrics of it", [bool(run.records) for run in runs]),
        ("log.csv, so that there are no curves of its losses", [bool(run.log) for run in runs]),
        ("grid of samples", [run.samples is not None for run in runs]),
    ):
        lacks += [f"{run.name} has no {what}." for run, has in zip(runs, having, strict=True) if not has]
    return lacks


def missing_section(lacks: Sequence[str]) -> list[Section]:
    """A section about what runs do not have; none if nothing lacks.

    Args:
        lacks: sentences.
    """
    return [Section(title="What is missing", content=sentences(lacks))] if lacks else []
