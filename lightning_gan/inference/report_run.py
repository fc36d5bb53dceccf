"""Writes pages about a training run: the work of the command `report`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from lightning_gan.inference.html_page import (
    Headline,
    Picture,
    Section,
    headline_list,
    page,
    picture_at,
    picture_in,
    picture_series,
    pictures,
    sentences,
)
from lightning_gan.inference.images_out import check_absent, check_size, png_bytes, write_new
from lightning_gan.inference.interpolate import strip_of
from lightning_gan.inference.keyframes import LatentKeyframes, labels_of, places
from lightning_gan.inference.run_files import KimgPicture, Run, read_runs
from lightning_gan.inference.run_sections import (
    LOGGED,
    WHILE_TRAINING,
    curve_section,
    curves_of_metrics,
    curves_of_training,
    grid_picture,
    missing,
    missing_section,
    table_section,
)
from lightning_gan.inference.run_tables import (
    Measured,
    all_settings,
    markdown_text,
    measurements,
    metrics_table,
    number_and_error,
    overview,
)
from lightning_gan.inference.trained_model import Device, TrainedModel, trained_model
from lightning_gan.metrics.report import with_errors
from lightning_gan.tensors.numbers import check_at_least

HTML, MARKDOWN = "report.html", "report.md"
"""The files that are written."""

MADE = "Made by lightning-gan report"
"""What both files end with, by which they are known."""

FRAMES = 7
"""Number of images from the first image of an interpolation to before its last."""

HEADLINES = 6
"""Largest number of numbers at the top of the page."""


def report(
    run: str,
    *,
    out: str | None = None,
    grids: int = 8,
    interpolations: int = 4,
    ema: bool = True,
    device: Device = Device.auto,
    overwrite: bool = False,
) -> None:
    """Write a page about a run, to look at and to send to others.

    report.html is one file, which needs no network: the latest measurements with their standard errors and how they
    were made, grids of samples over time, curves of metrics and of logged numbers, nearest real images,
    interpolations, and all settings. report.md has the tables. Figures need matplotlib: pip install
    'lightning-gan[figures]'.

    What a run does not have is left out, and the page says so. Files that `report` has written to the folder of the
    run are replaced, because it can write them again. All others are replaced with --overwrite alone.

    Args:
        run: the folder of a run, such as runs/stylegan.
        out: the folder that is written. By default that of the run.
        grids: largest number of grids of samples on the page: the first, the last, and some between.
        interpolations: number of rows of images between two random latents, made from the newest checkpoint. 0 makes
            none, and does not load the checkpoint.
        ema: use averaged weights for interpolations if the checkpoint has them.
        device: where interpolations are computed. auto is the GPU if there is one.
        overwrite: replace report.html and report.md if they exist.

    Raises:
        ValueError: for a folder that is no run, for settings out of range, for files of the run that cannot be read,
            and if the files exist.
        ImportError: if matplotlib is not installed.
    """
    import matplotlib  # noqa: F401  (a missing package is said before anything is read)

    if out is not None and Path(out).suffix in (".html", ".md"):
        raise ValueError(f"out={out} must be a folder; give the folder for {HTML} and {MARKDOWN}")
    check_at_least(1, grids=grids)
    check_at_least(0, interpolations=interpolations)
    device.found()  # so that a missing GPU is said before anything is read
    (read,) = read_runs([run])
    folder = read.folder if out is None else Path(out)
    for name in (HTML, MARKDOWN):
        check_absent(folder / name, overwrite=overwrite or (out is None and _is_made(folder / name)))
    lacks = missing([read])
    trained = _trained(read, ema=ema, device=device, lacks=lacks) if interpolations else None
    measured = measurements([read], any_protocol=False)
    of_run = overview([read], parameters=[] if trained is None else [_parameters(trained)])
    of_metrics = [metrics_table([read], one) for one in measured]
    settings = all_settings(read)
    between = [] if trained is None else _interpolations(trained, rows=interpolations, lacks=lacks)
    of_training = curves_of_training([read], measured)
    metric_curves, notes = curves_of_metrics(read)
    if read.records and not metric_curves:
        lacks.append(
            "No metric has two different values of the time of training, so that there are no curves of metrics."
        )
    if not read.neighbours:
        lacks.append(f"{read.name} has no pictures in nearest/, so that there are no nearest real images.")
    sections = [
        table_section(of_run),
        *([table_section(*of_metrics)] if of_metrics else []),
        *_samples(read, count=grids),
        *([curve_section(WHILE_TRAINING, [read], metric_curves, notes=notes)] if metric_curves else []),
        *([curve_section(LOGGED, [read], of_training, notes=[])] if of_training else []),
        *_nearest(read),
        *_figures(read),
        *between,
        table_section(settings, is_folded=True),
        *missing_section(lacks),
    ]
    html = page(title=read.name, summary=_summary(read), head=_head(measured), sections=sections, footer=f"{MADE}.")
    tables = [table.markdown() for table in (of_run, *of_metrics, settings)]
    head = [f"# {markdown_text(read.name)}", markdown_text(_summary(read))]
    text = "\n\n".join([*head, *tables, *map(markdown_text, lacks), f"{MADE}."]) + "\n"
    for sentence in lacks:
        print(sentence, file=sys.stderr)
    for name, contents in ((HTML, html), (MARKDOWN, text.encode())):
        write_new(folder / name, contents, overwrite=True)
    print(f"wrote {HTML} and {MARKDOWN} to {folder}")


def _is_made(path: Path) -> bool:
    """Whether a file was written by `report`."""
    return path.is_file() and MADE.encode() in path.read_bytes()


def _summary(run: Run) -> str:
    model, data = run.settings.get("model", "A model"), run.settings.get("data")
    on = "" if data is None else f" on {data}"
    return f"{model}{on}" + (f", {run.images_seen:,} images seen." if run.images_seen else ".")


def _head(measured: Sequence[Measured]) -> Markup:
    """The first number of each measurement, and then those whose standard error is known."""
    first: list[Headline] = []
    others: list[Headline] = []
    for one in measured:
        (record,) = one.records
        assert record is not None
        numbers = with_errors(record["metrics"])
        for metric in one.metrics:
            value, error = number_and_error(*numbers[metric])
            headline = Headline(name=metric.replace("_", " "), value=value, error=error)
            if metric == one.metrics[0]:
                first.append(headline)
            elif error:
                others.append(headline)
    if not first:
        return Markup("")
    shown = [*first, *others][:HEADLINES]
    notes = ["The number after ± is the standard error."] if any(one.error for one in shown) else []
    return headline_list(shown) + sentences(notes)


def _samples(run: Run, *, count: int) -> list[Section]:
    """The section of grids of samples; none without grids."""
    shown = [grid_picture(run, grid) for grid in _chosen(run.grids, count=count)]
    return [Section(title="Samples", content=picture_series(shown, label="Time"))] if shown else []


def _chosen(grids: Sequence[KimgPicture], *, count: int) -> list[KimgPicture]:
    """The last grid, the first one, and others between at equal distances in number.

    Example:
        >>> grids = [KimgPicture(kimg=float(kimg), path=Path()) for kimg in range(10)]
        >>> [grid.kimg for grid in _chosen(grids, count=4)]
        [0.0, 3.0, 6.0, 9.0]
    """
    last = len(grids) - 1
    if count == 1:
        return list(grids[-1:])
    places = dict.fromkeys(round(place * last / (count - 1)) for place in range(count)) if grids else {}
    return [grids[place] for place in places]


def _nearest(run: Run) -> list[Section]:
    """The section of the newest picture of nearest real images; none without one."""
    if not run.neighbours:
        return []
    newest = run.neighbours[-1]
    shown = picture_at(
        newest.path,
        name=f"{newest.kimg:g} kimg",
        alt=f"Images that {run.name} generates, each beside the training images that are nearest to it.",
        caption=f"Generated images after {newest.kimg:g} kimg, each with the training images that are nearest to it.",
    )
    return [Section(title="Nearest training images", content=pictures([shown]))]


def _figures(run: Run) -> list[Section]:
    """The section of the latest figures of a run; none without figures."""
    shown = [
        picture_at(
            figure.path,
            name=name,
            alt=f"The figure {name} of {run.name} after {figure.kimg:g} kimg of training.",
            caption=f"{name}, {figure.kimg:g} kimg.",
        )
        for name, figure in run.figures.items()
    ]
    return [Section(title="Figures", content=pictures(shown))] if shown else []


def _trained(run: Run, *, ema: bool, device: Device, lacks: list[str]) -> TrainedModel | None:
    """The model of the newest checkpoint. None without one that makes images, and then it is said what lacks."""
    try:
        return trained_model(str(run.folder), device=device, ema=ema)
    except ValueError as error:
        lacks.append(f"There are no interpolations: {error}.")
        return None


def _parameters(trained: TrainedModel) -> str:
    """The numbers of parameters of the networks that are trained."""
    counts = {
        name: sum(parameter.numel() for parameter in network.parameters())
        for name, network in trained.model.named_children()
        if not name.endswith("_ema")  # averages of a network have its parameters
    }
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _interpolations(trained: TrainedModel, *, rows: int, lacks: list[str]) -> list[Section]:
    """The section of images between random latents, two for each row. None if they are not finite, which is said."""
    _, height, width = trained.image_shape
    check_size(rows=rows, columns=FRAMES + 1, height=height, width=width)
    seeds = list(range(2 * rows))
    count = trained.model.number_of_classes
    of_class = [seed // 2 % count for seed in seeds] if count else None
    keyframes = LatentKeyframes(trained, seeds=seeds, labels=labels_of(trained, seeds, of_class), truncation=1.0)
    try:
        strip = png_bytes(strip_of(keyframes, list(places(2, frames=FRAMES, loop=False)), paths=rows))
    except ValueError as error:
        lacks.append(f"There are no interpolations: {error}.")
        return []
    shown: Picture = picture_in(
        strip,
        name="interpolations",
        alt="Rows of generated images that change step by step from one random image to another.",
        caption=f"Each row goes from one random latent to another, in equal steps{', in one class' if count else ''}. "
        f"{trained.description}.",
    )
    return [Section(title="Interpolations", content=pictures([shown]))]
