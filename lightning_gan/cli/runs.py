"""Folders of training runs: each run writes to its own folder `runs/<name>/` and never overwrites an earlier run."""

from pathlib import Path

from lightning_gan.cli.errors import CommandLineError

RUNS = Path("runs")
CONFIG = "config.yaml"
_CHECKPOINTS = "checkpoints"
_LAST = "last.ckpt"

# Names of the files that every `fit` writes before training. A folder with only these is of a run that did not train.
_WRITTEN_AT_START = (CONFIG, "hparams.yaml", "events.out.tfevents.")


def holds_a_run(folder: Path) -> bool:
    """Whether a folder contains files of an earlier run, other than those that every run writes at its start."""
    if not folder.is_dir():
        return False
    return any(path.is_file() and not path.name.startswith(_WRITTEN_AT_START) for path in folder.rglob("*"))


def runs_named(name: str) -> list[Path]:
    """The existing folders `runs/<name>`, `runs/<name>-2` and so on, in order.

    Every process of a distributed run calls this function and gets the same result, because no process writes a file
    before all processes have been connected.
    """
    folders = [RUNS / name] if (RUNS / name).is_dir() else []
    numbered = [folder for folder in RUNS.glob(f"{name}-*") if folder.name.removeprefix(f"{name}-").isdecimal()]
    return folders + sorted(numbered, key=lambda folder: int(folder.name.removeprefix(f"{name}-")))


def new_run(name: str, *, keep_name: bool) -> Path:
    """The folder of a run that starts. The folder is not created.

    Args:
        name: name of the run.
        keep_name: True raises an error if the folder `runs/<name>` holds an earlier run. False then adds a number to
            the name, from 2.

    Raises:
        CommandLineError: if the folder holds an earlier run and the name must be kept.
    """
    folder = RUNS / name
    if not holds_a_run(folder):
        return folder
    if keep_name:
        raise CommandLineError(
            f"{folder} holds an earlier run; continue it with --ckpt_path last, or give another --name to start anew"
        )
    number = 2
    while holds_a_run(RUNS / f"{name}-{number}"):
        number += 1
    return RUNS / f"{name}-{number}"


def last_checkpoint(name: str, *, keep_name: bool) -> Path:
    """The newest `last.ckpt` of the runs with this name.

    Args:
        name: name of the run.
        keep_name: True takes only the folder `runs/<name>`. False also takes `runs/<name>-2` and so on.

    Raises:
        CommandLineError: if there is no such checkpoint.
    """
    folders = [RUNS / name] if keep_name else runs_named(name)
    found = [path for folder in folders if (path := folder / _CHECKPOINTS / _LAST).exists()]
    if not found:
        raise CommandLineError(
            f"there is no checkpoint {RUNS / name / _CHECKPOINTS / _LAST}; train first, or name the run with --name"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint, or None if the checkpoint is not in the folder of a run."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == _CHECKPOINTS and (folder / CONFIG).is_file() else None
