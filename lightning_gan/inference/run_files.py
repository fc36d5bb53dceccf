"""What the folder of a training run has: its settings, its measurements, its logged numbers and its samples."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_gan.data.image_files import CHECKSUMS
from lightning_gan.inference.load import checkpoint_at
from lightning_gan.loop.checkpointing import CheckpointError, read_checkpoint
from lightning_gan.loop.csv_log import STEP, read_log
from lightning_gan.metrics.report import Record


@dataclass(frozen=True, kw_only=True)
class KimgPicture:
    """A picture that was drawn while a run trained.

    Attributes:
        kimg: thousands of images seen.
        path: path of the file.
    """

    kimg: float
    path: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run, as its folder describes it.

    Attributes:
        name: its name in tables and figures.
        folder: its folder.
        settings: all settings of `config.yaml` by dotted names, see `flat_settings`.
        data: what identifies the images that it was trained on, as far as it is known.
        records: its measurements, in the order in which they were made.
        log: the rows of `log.csv`; none if there is no such file.
        grids: its grids of samples, in the order of training.
        neighbours: its pictures of samples beside their nearest real images, in the order of training.
        figures: its latest figures, by the name of the figure and of its part.
    """

    name: str
    folder: Path
    settings: dict[str, str]
    data: dict[str, str]
    records: list[Record]
    log: list[dict[str, str]]
    grids: list[KimgPicture]
    neighbours: list[KimgPicture]
    figures: dict[str, KimgPicture]

    @property
    def samples(self) -> KimgPicture | None:
        """The latest grid of samples; None without one."""
        return self.grids[-1] if self.grids else None

    @property
    def images_seen(self) -> int:
        """The images that the run has trained on, as far as its log, measurements and grids tell; 0 if they do not."""
        logged = [int(row[STEP]) for row in self.log[-1:]]
        measured = [round(1000 * record["kimg"]) for record in self.records if record.get("trained_here", True)]
        return max([*logged, *measured, *(round(1000 * grid.kimg) for grid in self.grids)], default=0)


def read_runs(folders: list[str]) -> list[Run]:
    """Read the folders of several runs.

    Args:
        folders: paths such as `runs/stylegan`.

    Raises:
        ValueError: if one is no folder of a run, is given twice, or has a file that cannot be read.
    """
    paths = [Path(folder) for folder in folders]
    for path in paths:
        if not (path / "config.yaml").is_file():
            raise ValueError(f"{path} is no folder of a run: it has no config.yaml; give folders such as runs/stylegan")
    doubles = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if doubles:
        raise ValueError(f"{doubles[0]} is given twice; give different runs")
    counts = Counter(path.resolve().name for path in paths)
    names = [path.resolve().name if counts[path.resolve().name] == 1 else path.as_posix() for path in paths]
    runs = [_read(path, name=name) for path, name in zip(paths, names, strict=True)]
    if not all(CHECKSUMS in run.data for run in runs):  # a folder and a zip of the same files are the same data
        for run in runs:
            run.data.pop(CHECKSUMS, None)
    return runs


def flat_settings(config: dict[str, Any]) -> dict[str, str]:
    """Nested settings of a configuration as text, by dotted names.

    A class has its name as value, and its arguments follow after its own name. In a list of classes, such as the
    callbacks, the name of the class stands in the place of a number, and a second one of a class gets `#2`.

    Args:
        config: contents of a `config.yaml`.

    Example:
        >>> r1 = {"class_path": "lightning_gan.callbacks.R1", "init_args": {"gamma": 5.0}}
        >>> flat_settings({"seed": 0, "trainer": {"callbacks": [r1, r1]}})
        {'seed': '0', 'trainer.callbacks.R1': 'yes', 'trainer.callbacks.R1.gamma': '5.0', \
'trainer.callbacks.R1#2': 'yes', 'trainer.callbacks.R1#2.gamma': '5.0'}
    """
    return dict(_flat(config, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and "class_path" in value:
        yield name, _short(value["class_path"])
        yield from _flat(value.get("init_args") or {}, name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(one, dict) and "class_path" in one for one in value):
        seen: Counter[str] = Counter()
        for one in value:
            kind = _short(one["class_path"])
            seen[kind] += 1
            inner = f"{name}.{kind}" + (f"#{seen[kind]}" if seen[kind] > 1 else "")
            yield inner, "yes"
            yield from _flat(one.get("init_args") or {}, inner)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _short(class_path: object) -> str:
    return str(class_path).rsplit(".", 1)[-1]


def _read(folder: Path, *, name: str) -> Run:
    config = _yaml(folder / "config.yaml")
    return Run(
        name=name,
        folder=folder,
        settings=flat_settings(config),
        data=_data_of(folder, config),
        records=_records(folder / "metrics.json"),
        log=read_log(folder / "log.csv") if (folder / "log.csv").is_file() else [],
        grids=_pictures(folder / "samples"),
        neighbours=_pictures(folder / "nearest"),
        figures=_figures(folder / "figures"),
    )


def _pictures(folder: Path) -> list[KimgPicture]:
    """The pictures of a folder whose names have their time, `kimg_000012.300.png`, in the order of training."""
    named = [(re.fullmatch(r"kimg_(\d+(?:\.\d+)?)", path.stem), path) for path in folder.glob("kimg_*.png")]
    found = [KimgPicture(kimg=float(match[1]), path=path) for match, path in named if match is not None]
    return sorted(found, key=lambda picture: picture.kimg)


def _figures(folder: Path) -> dict[str, KimgPicture]:
    """The latest pictures of a folder with a folder for each figure, `NAME/kimg_000012.300_PART.png`, by NAME_PART."""
    latest: dict[str, KimgPicture] = {}
    for path in sorted(folder.glob("*/kimg_*.png")):
        match = re.fullmatch(r"kimg_(\d+(?:\.\d+)?)((?:_\w+)?)", path.stem)
        if match is not None:
            picture = KimgPicture(kimg=float(match[1]), path=path)
            name = f"{path.parent.name}{match[2]}"
            latest[name] = max(latest.get(name, picture), picture, key=lambda one: one.kimg)
    return latest


def _yaml(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read ({' '.join(str(error).split())}); give another run") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no settings; give another run")
    return config


def _records(path: Path) -> list[Record]:
    """The records of a file; none if there is no file."""
    if not path.is_file():
        return []
    try:
        records: Any = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} is no list of measurements ({error}); move it away, or give another run") from error
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError(f"{path} is no list of measurements; move it away, or give another run")
    return records


def _is_record(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("metrics"), dict):
        return False
    return all(isinstance(number, int | float) for number in (value.get("kimg"), *value["metrics"].values()))


def _data_of(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """The size of the images, and the fingerprints of the data set that checkpoints have, or else its class."""
    section = config.get("data")
    init_args: dict[str, Any] = section.get("init_args") or {} if isinstance(section, dict) else {}
    known: dict[str, str] = {
        name: str(init_args[name]) for name in ("image_size", "image_channels") if name in init_args
    }
    # Left out for squares of 8 bits, so that older runs can be compared.
    known |= {name: str(init_args[name]) for name in ("image_width", "value_range") if init_args.get(name) is not None}
    try:
        content = read_checkpoint(checkpoint_at(folder), for_training=False)
    except CheckpointError:
        content = {}
    for saved in content.values():
        if isinstance(saved, dict) and isinstance(saved.get("fingerprints"), dict):
            return known | {name: str(value) for name, value in saved["fingerprints"].items() if name != "labels"}
    return known | ({"class": _short(section["class_path"])} if isinstance(section, dict) and section else {})
