"""The command `ema`: averaged weights of one length, or the best one of several by a metric of the run's own `test`."""

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks.evaluation.measurement import Measurement
from lightning_gan.callbacks.training.best_average import best_width, check_widths
from lightning_gan.cli.configs import read_config
from lightning_gan.cli.configured_callbacks import callbacks_of
from lightning_gan.cli.errors import did_you_mean
from lightning_gan.cli.invocation import read_invocation
from lightning_gan.cli.runs import CONFIG
from lightning_gan.cli.trainer_cli import TrainerCLI
from lightning_gan.inference.post_hoc_ema import AveragedRun, averaged_run
from lightning_gan.inference.run_tables import TextTable, number_and_error
from lightning_gan.metrics.report import ERROR, Better, Record

ONE_PROCESS = ("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto", "--trainer.logger=false")
"""Settings of the measurements in place of the run's; the numbers do not depend on the number of processes."""


def ema(
    run: str,
    out: str,
    *,
    relative_width: float | list[float] = 0.1,
    kimg: float | None = None,
    metric: str | None = None,
    better: Better | None = None,
) -> None:
    """Make a checkpoint with averaged weights of any length, of a run that had the callback `PowerFunctionEMA`.

    The averages that it saved during training are combined by least squares (post-hoc EMA, Karras et al. 2024,
    arXiv:2312.02696). The result is for `generate`, `test --ckpt_path`, `export` and all other commands.

    Of several lengths, such as --relative_width '[0.05, 0.1, 0.15, 0.2]', each is measured by the callbacks that
    `test` of the run has, on one device. A table is printed, the best one is written to OUT, and all numbers are
    written beside it, to OUT without its ending and with -widths.json.

    Args:
        run: folder of the run, such as runs/stylegan.
        out: checkpoint that is written, such as width_0.15.ckpt; it must not exist.
        relative_width: length of the average, as a share of the length of training: the standard deviation of the
            times of its weights, above 0 and below 0.288; or a list of lengths, of which the best one is taken.
        kimg: end of the average in thousands of images, at which averages were saved; the last ones by default.
        metric: number by which lengths are compared, such as frechet_distance. By default the one that a
            ModelCheckpoint or an EarlyStopping of the run monitors.
        better: whether less or more of the metric is better. By default what the callback that monitors it says, and
            what the callback that measures it says (`Measurement.better`): less of distances, more of scores.
    """
    target = Path(out)
    _check_absent(target)
    if not isinstance(relative_width, list):
        if metric is not None or better is not None:
            raise ValueError(
                f"--metric and --better compare several lengths, and --relative_width {relative_width:g} is one; give "
                "--relative_width '[0.05, 0.1, 0.15, 0.2]', or leave both out"
            )
        _write(averaged_run(Path(run)), target, width=relative_width, kimg=kimg)
        return
    check_widths(relative_width, setting="--relative_width")
    table_file = target.with_name(f"{target.stem}-widths.json")
    _check_absent(table_file)
    source = averaged_run(Path(run))
    config = _config_of(source)
    monitors = _monitors(read_config(config))
    wanted = _wanted_metric(metric, monitors)
    numbers: dict[float, Number] = {}
    records: list[dict[str, Any]] = []
    for place, width in enumerate(relative_width, start=1):
        measured = _measured(source, config, width=width, kimg=kimg)
        name = _name_among(wanted, measured)
        numbers[width] = measured[name]
        direction = better or monitors.get(name) or numbers[width].better
        if direction is None:
            raise ValueError(f"--metric {name}: whether less or more of it is better is not known; give --better less")
        record = {key: value for key, value in numbers[width].record.items() if key != "checkpoint"}
        if record.get("ema") is False:
            raise ValueError(
                f"--metric {name}: the run measures it with ema=false, which is of the weights that are trained and "
                "not of averages; set it to true in the run's config.yaml, or give another metric"
            )
        records.append({"relative_width": width, **record})
        print(f"relative width {width:g}, {place} of {len(relative_width)}: {name} {numbers[width]}", file=sys.stderr)
    values = {width: number.value for width, number in numbers.items()}
    best = best_width(values, higher_is_better=direction == "more")
    rows = [(f"{width:g}", [str(number), "best" if width == best else ""]) for width, number in numbers.items()]
    table = TextTable(
        title=f"Averaged weights by their relative width ({direction} is better)", columns=[name, ""], rows=rows
    )
    print(table.plain(width=shutil.get_terminal_size().columns))
    found = {"run": run, "metric": name, "better": direction, "best_relative_width": best, "widths": records}
    with written_whole(table_file) as file:
        file.write(json.dumps(found, indent=2, allow_nan=False).encode())
    _write(source, target, width=best, kimg=kimg)
    print(f"{table_file}: all numbers of the {len(numbers)} lengths")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A measured number.

    Attributes:
        value: its value.
        error: its standard error; None if the record has none.
        better: whether less or more of it is better; None if it has no direction.
        record: the record that it is in.
    """

    value: float
    error: float | None
    better: Better | None
    record: Record

    def __str__(self) -> str:
        value, error = number_and_error(self.value, self.error)
        return f"{value} ± {error}" if error else value


def _check_absent(target: Path) -> None:
    if target.exists():
        raise ValueError(f"{target} exists, and nothing is overwritten; give another name")


def _write(source: AveragedRun, target: Path, *, width: float, kimg: float | None) -> None:
    made = source.write(target, relative_width=width, kimg=kimg)
    config = source.folder / CONFIG
    measures = f", and `lightning-gan test --config {config} --ckpt_path {target}` measures them"
    print(
        f"{target}: averaged weights of the relative width {width:g} at {made.images_seen / 1000:g} kimg, of "
        f"{made.files} files; `lightning-gan generate {target}` samples from them{measures if config.is_file() else ''}"
    )


def _config_of(source: AveragedRun) -> Path:
    config = source.folder / CONFIG
    if not config.is_file():
        raise ValueError(
            f"{source.folder} has no {CONFIG} of `fit`, so that how it is measured is not known; write one length at a "
            "time, and measure each with Trainer.test"
        )
    return config


def _monitors(settings: Mapping[str, Any]) -> dict[str, Better]:
    """The metrics that callbacks of a run monitor, and what is better by their mode."""
    callbacks = callbacks_of((settings.get("trainer") or {}).get("callbacks"))
    given = [callback.settings for callback in callbacks if callback.settings.get("monitor")]
    return {str(own["monitor"]): "more" if own.get("mode") == "max" else "less" for own in given}


def _wanted_metric(metric: str | None, monitors: Mapping[str, Better]) -> str:
    if metric is not None:
        return metric
    if len(monitors) != 1:
        problem = (
            f"several are monitored ({', '.join(monitors)})" if monitors else "no callback of the run monitors one"
        )
        raise ValueError(
            f"by which number lengths are compared is not known, because {problem}; give for example --metric "
            f"{next(iter(monitors), 'frechet_distance')}"
        )
    return next(iter(monitors))


def _measured(source: AveragedRun, config: Path, *, width: float, kimg: float | None) -> dict[str, Number]:
    """The numbers that `test` of a run measures of a length, by their logged names, without standard errors."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.ckpt"
        source.write(checkpoint, relative_width=width, kimg=kimg)
        arguments = ["--config", str(config), "--ckpt_path", str(checkpoint), *ONE_PROCESS]
        invocation = read_invocation("test", [*arguments, f"--trainer.default_root_dir={folder}"])
        with redirect_stdout(io.StringIO()):  # its tables, of which one is made
            trainer = TrainerCLI(invocation).trainer
        records = {file.stem: json.loads(file.read_text()) for file in sorted(Path(folder).glob("*.json"))}
    better = {own.name: own.better() for own in trainer.callbacks if isinstance(own, Measurement)}  # type: ignore[attr-defined]
    numbers: dict[str, Number] = {}
    for prefix, measured in records.items():
        for record in measured:
            values, directions = record["metrics"], better.get(prefix, {})
            numbers |= {
                f"{prefix}/{name}": Number(
                    value=value, error=values.get(f"{name}{ERROR}"), better=directions.get(name), record=record
                )
                for name, value in values.items()
                if not name.endswith(ERROR)
            }
    if not numbers:
        raise ValueError(
            f"{config} has no callback that measures in `test`; add one, such as lightning_gan.callbacks.Evaluation"
        )
    return numbers


def _name_among(metric: str, measured: Mapping[str, Number]) -> str:
    """The logged name of a metric, which may be given without its prefix."""
    names = [name for name in measured if metric in (name, name.partition("/")[2])]
    if len(names) == 1:
        return names[0]
    known = names or list(measured)
    problem = "was measured several times" if names else "was not measured"
    raise ValueError(f"--metric {metric} {problem}; give one of {', '.join(known)}{did_you_mean(metric, known)}")
