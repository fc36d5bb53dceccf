"""Figures of one run or several: their numbers over the images seen, and their samples side by side.

matplotlib is needed only here, and is imported when a figure is drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from lightning_gan.inference.run_files import Run
from lightning_gan.inference.run_tables import Measured, protocol_of
from lightning_gan.loop.csv_log import STEP
from lightning_gan.metrics.report import ERROR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#202020"
"""The colour of texts and axes. Pages replace it by the colour of their text, which is light on a dark background."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
"""The colours of Okabe and Ito, which colour-blind readers can distinguish."""

DASHES: tuple[tuple[float, ...], ...] = ((), (3.7, 1.6), (1.0, 1.6), (6.4, 1.6, 1.0, 1.6))
"""Lengths of the dashes of lines and of the gaps between them, in widths of the line. None for whole lines.

The next one is taken when all colours are used.
"""

PANELS_PER_ROW = 3

LOGARITHMIC_RATIO = 30
"""Smallest ratio of the largest and the smallest value of a panel, if all are positive, with a logarithmic axis."""

GAP, FONT_SIZE = 16, 18
"""Space around grids of samples and the font size of their titles, in pixels."""

WIDEST = 2400
"""Width in pixels above which grids of samples stand below each other."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One number of one run over the images seen.

    Attributes:
        run: place of the run among the compared ones.
        kimg: thousands of images seen.
        values: values of the number.
        errors: their standard errors; empty if they are not known.
    """

    run: int
    kimg: list[float]
    values: list[float]
    errors: Sequence[float] = ()


def logged_curves(runs: Sequence[Run], *, without: Sequence[str]) -> dict[str, list[Curve]]:
    """The curves of all logged numbers that have two values or more in some run and are not constant in all of them.

    Args:
        runs: the runs.
        without: beginnings of the names that are left out, besides those of the axis.

    Raises:
        ValueError: if a cell of a log is no number.
    """
    columns = dict.fromkeys(name for run in runs for row in run.log[:1] for name in row)
    found: dict[str, list[Curve]] = {}
    for name in columns:
        if name in (STEP, "kimg") or name.startswith(tuple(without)):
            continue
        curves = []
        for place, run in enumerate(runs):
            points = [(int(row[STEP]) / 1000, _number(run, name, row[name])) for row in run.log if row.get(name)]
            if points:
                curves.append(Curve(run=place, kimg=[x for x, _ in points], values=[y for _, y in points]))
        if any(len(set(curve.values)) > 1 for curve in curves):
            found[name] = curves
    return found


def measured_curves(runs: Sequence[Run], measurements: Sequence[Measured]) -> dict[str, list[Curve]]:
    """The curves of all metrics that some run has measured twice or more while it trained, in the chosen protocol.

    Args:
        runs: the runs.
        measurements: the measurements that are compared.
    """
    found: dict[str, list[Curve]] = {}
    for measured in measurements:
        for metric in measured.metrics:
            curves = []
            for place, (run, chosen) in enumerate(zip(runs, measured.records, strict=True)):
                alike = [
                    record
                    for record in run.records
                    if chosen is not None
                    and record.get("stage") == "fit"
                    and metric in record["metrics"]
                    and protocol_of(run, record) == protocol_of(run, chosen)
                ]
                alike.sort(key=lambda record: record["kimg"])
                if alike:
                    numbers = [record["metrics"] for record in alike]
                    kimg, values = [record["kimg"] for record in alike], [each[metric] for each in numbers]
                    errors = [each[f"{metric}{ERROR}"] for each in numbers if f"{metric}{ERROR}" in each]
                    known = errors if len(errors) == len(values) else ()
                    curves.append(Curve(run=place, kimg=kimg, values=values, errors=known))
            if any(len(set(curve.values)) > 1 for curve in curves):
                found[metric] = curves
    return found


def curves_figure(names: Sequence[str], curves: dict[str, list[Curve]]) -> bytes:
    """A PNG file with a panel for each number.

    An axis is logarithmic if all values of its panel are positive and differ by more than `LOGARITHMIC_RATIO`.

    Args:
        names: names of the runs.
        curves: curves of each number, at least one.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(PANELS_PER_ROW, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(4.4 * columns, 2.7 * rows + 0.7), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (name, own) in zip(panels, curves.items(), strict=False):
        _draw(axes, name, own)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[max(len(curves) - columns, 0) : len(curves)]:
        axes.set_xlabel("kimg")
    handles = [
        Line2D([], [], label=name, color=color_of(place), linestyle=(0, dashes_of(place)))
        for place, name in enumerate(names)
    ]
    legend = figure.legend(
        handles=handles, loc="outside upper center", ncols=min(len(names), 2 * columns), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may have dollar signs
    contents = BytesIO()
    figure.savefig(contents, format="png", dpi=110)
    return contents.getvalue()


def curve_svg(name: str, curves: Sequence[Curve]) -> str:
    """One panel as an `svg` element of a page. Its background is transparent, and its texts are text.

    Args:
        name: name of the number.
        curves: its curves, at least one.
    """
    import matplotlib
    from matplotlib.figure import Figure

    text = StringIO()
    # The salt makes the names of the parts of a drawing depend on its contents alone.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=(4.0, 2.5), layout="constrained", facecolor="none")
        axes = figure.subplots()
        _draw(axes, name, curves)
        axes.set_facecolor("none")
        axes.set_xlabel("kimg", fontsize=8)
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = text.getvalue()
    return drawing[drawing.index("<svg") :]


def samples_side_by_side(runs: Sequence[Run]) -> bytes | None:
    """A PNG file with the latest grid of samples of each run below its name; None if no run has one.

    Args:
        runs: the runs.

    Raises:
        ValueError: if a grid cannot be read.
    """
    shown = [(run, opened(run.samples.path)) for run in runs if run.samples is not None]
    if not shown:
        return None
    font = ImageFont.load_default(FONT_SIZE)
    title_height = FONT_SIZE + GAP
    is_wide = sum(picture.width + GAP for _, picture in shown) > WIDEST
    width = GAP + (max(p.width + GAP for _, p in shown) if is_wide else sum(p.width + GAP for _, p in shown))
    heights = [title_height + picture.height + GAP for _, picture in shown]
    canvas = Image.new("RGB", (width, GAP + (sum(heights) if is_wide else max(heights))), "white")
    draw = ImageDraw.Draw(canvas)
    x = y = GAP
    for (run, picture), height in zip(shown, heights, strict=True):
        assert run.samples is not None
        title = f"{run.name}, {run.samples.kimg:g} kimg"
        draw.text((x, y), title, "black", font)
        canvas.paste(picture, (x, y + title_height))
        x, y = (x, y + height) if is_wide else (x + picture.width + GAP, y)
    contents = BytesIO()
    canvas.save(contents, format="PNG")
    return contents.getvalue()


def opened(path: Path) -> Image.Image:
    """The picture of a file in RGB, on white.

    Args:
        path: path of the file.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            whole = picture.convert("RGBA")
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); move it away") from error
    paper = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(paper, whole).convert("RGB")


def color_of(place: int) -> str:
    """The colour of a run's curves.

    Args:
        place: place of the run among the compared ones.
    """
    return COLORS[place % len(COLORS)]


def dashes_of(place: int) -> tuple[float, ...]:
    """The dashes and gaps of a run's curves, as in `DASHES`.

    Args:
        place: place of the run among the compared ones.
    """
    return DASHES[place // len(COLORS) % len(DASHES)]


def _number(run: Run, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{run.folder / 'log.csv'}: {name}={text!r} is no number; move the file away") from error


def _draw(axes: "Axes", name: str, curves: Sequence[Curve]) -> None:
    for curve in curves:
        marker = "o" if len(curve.values) < 30 else None
        color, dashes = color_of(curve.run), dashes_of(curve.run)
        line = (0, dashes)
        axes.plot(curve.kimg, curve.values, color=color, linestyle=line, linewidth=1.3, marker=marker, markersize=3)
        if curve.errors:
            lower = [value - error for value, error in zip(curve.values, curve.errors, strict=True)]
            upper = [value + error for value, error in zip(curve.values, curve.errors, strict=True)]
            axes.fill_between(curve.kimg, lower, upper, color=color, alpha=0.2, linewidth=0)
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    if values and min(values) > 0 and max(values) / min(values) > LOGARITHMIC_RATIO:
        axes.set_yscale("log")
    axes.set_title(name, fontsize=10, color=INK, parse_math=False)
    axes.tick_params(which="both", labelsize=8, color=INK, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
