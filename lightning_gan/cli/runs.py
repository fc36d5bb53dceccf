"""Folders of training runs: each run writes to its own folder `runs/<name>/` and never overwrites an earlier run."""

import os
import sys
from pathlib import Path

from lightning_gan.atomic_files import PROBE, why_not_writable
from lightning_gan.cli.errors import CommandLineError

RUNS = Path("runs")
CONFIG = "config.yaml"
_CHECKPOINTS = "checkpoints"
_LAST = "last.ckpt"

# Names of the files that every `fit` writes before training. A folder with only these is of a run that did not train.
_WRITTEN_AT_START = (CONFIG, "hparams.yaml", "events.out.tfevents.", PROBE)


def check_writable(run: Path) -> None:
    """Check that the folder of a run can be written to, by writing and deleting a small file. The folder is created.

    Raises:
        CommandLineError: if it cannot be written to.
    """
    if cause := why_not_writable(run):
        raise CommandLineError(
            f"this run cannot write to its folder {run}: {cause}; make this possible, or choose another folder with "
            "--name or --trainer.default_root_dir"
        )


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
        begun = "" if _has_checkpoints(folder) else " that ended before its first checkpoint"
        way = "continue it with --resume" if not begun else "begin it again with --resume"
        raise CommandLineError(f"{folder} holds an earlier run{begun}; {way}, or give another --name to start anew")
    number = 2
    while holds_a_run(RUNS / f"{name}-{number}"):
        number += 1
    return RUNS / f"{name}-{number}"


def last_checkpoint(name: str, *, keep_name: bool, root: Path | None = None) -> Path:
    """The newest whole checkpoint of the run with this name that was saved last. Skipped ones are printed.

    Args:
        name: name of the run.
        keep_name: True takes only the folder `runs/<name>`. False also takes `runs/<name>-2` and so on.
        root: folder of the run, in place of a folder in `runs/`.

    Raises:
        CommandLineError: if there is no such checkpoint.
    """
    folders = _folders(name, keep_name=keep_name, root=root)
    found = [folder for folder in folders if _has_checkpoints(folder)]
    if not found:
        raise CommandLineError(
            f"there is no checkpoint {(root or RUNS / name) / _CHECKPOINTS / _LAST}; train first (`fit --resume` "
            "begins or goes on), or name the run with --name"
        )
    return _whole_checkpoint(max(found, key=_saved_at))


def resumed(name: str, *, keep_name: bool, root: Path | None = None) -> tuple[Path, Path | None]:
    """The folder of the run that `--resume` continues or begins, and its newest whole checkpoint, or None.

    Args:
        name: name of the run.
        keep_name: True takes only the folder `runs/<name>`. False takes the one of `runs/<name>`, `runs/<name>-2` ...
            that was begun last.
        root: folder of the run, in place of a folder in `runs/`.

    Raises:
        CommandLineError: if there are checkpoints and none is whole.
    """
    folders = _folders(name, keep_name=keep_name, root=root)
    folder = folders[-1] if folders else RUNS / name
    if _has_checkpoints(folder):
        checkpoint = _whole_checkpoint(folder)
        tell(f"--resume: training goes on from {checkpoint}")
        return folder, checkpoint
    tell(f"--resume: {folder} has no checkpoint yet, so that training begins")
    return folder, None


def tell(line: str) -> None:
    """Print a line to the standard error, in the first process of a training alone."""
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0":
        print(line, file=sys.stderr)


def _folders(name: str, *, keep_name: bool, root: Path | None) -> list[Path]:
    if root is not None:
        return [root]
    return [RUNS / name] if keep_name else runs_named(name)


def _has_checkpoints(run: Path) -> bool:
    return any((run / _CHECKPOINTS).glob("*.ckpt"))


def _saved_at(run: Path) -> float:
    return max(path.stat().st_mtime for path in (run / _CHECKPOINTS).glob("*.ckpt"))


def _whole_checkpoint(run: Path) -> Path:
    """The newest whole checkpoint in a folder with checkpoints.

    Raises:
        CommandLineError: if none is whole.
    """
    from lightning_gan.loop.checkpointing import newest_whole_checkpoint  # imports torch, which takes seconds

    found = newest_whole_checkpoint(run / _CHECKPOINTS)
    if found.path is None:
        reason = found.skipped[0] if found.skipped else "they are all of earlier runs (earlier_run_*.ckpt)"
        raise CommandLineError(
            f"{run / _CHECKPOINTS} has no checkpoint from which training can go on: {reason}; move the files away to "
            "begin anew, or give another --name"
        )
    for skipped in found.skipped:
        tell(f"skipped: {skipped}")
    if found.skipped:
        tell(f"the newest whole checkpoint is {found.path}")
    return found.path


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint, or None if the checkpoint is not in the folder of a run.

    It lies in the run's folder of checkpoints, or beside it, as one that the command `ema` has written.
    """
    folder = checkpoint.parent.parent if checkpoint.parent.name == _CHECKPOINTS else checkpoint.parent
    return folder if (folder / CONFIG).is_file() and (folder / _CHECKPOINTS).is_dir() else None
