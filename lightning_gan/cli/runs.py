"""Where a training writes: `runs/<name>/`, one folder per training. What an earlier one saved is never touched."""

from pathlib import Path

from lightning_gan.cli.errors import CommandLineError

RUNS = Path("runs")
CONFIG = "config.yaml"
_CHECKPOINTS = "checkpoints"
_LAST = "last.ckpt"

# What every fit writes before its first image. A folder with no more than this is of a run that never came to train.
_WRITTEN_AT_START = (CONFIG, "hparams.yaml", "events.out.tfevents.")


def holds_a_run(folder: Path) -> bool:
    """Whether something was saved there that a second run would mix with."""
    if not folder.is_dir():
        return False
    return any(path.is_file() and not path.name.startswith(_WRITTEN_AT_START) for path in folder.rglob("*"))


def runs_named(name: str) -> list[Path]:
    """`runs/name` and its numbered successors that exist, in order.

    Every process of a distributed run asks this on its own and gets the same answer, because nothing is
    written before all of them have met.
    """
    folders = [RUNS / name] if (RUNS / name).is_dir() else []
    numbered = [folder for folder in RUNS.glob(f"{name}-*") if folder.name.removeprefix(f"{name}-").isdecimal()]
    return folders + sorted(numbered, key=lambda folder: int(folder.name.removeprefix(f"{name}-")))


def new_run(name: str, *, keep_name: bool) -> Path:
    """The folder of a training that starts.

    Args:
        name: what the run is called.
        keep_name: whether the user asked for this name: then a folder that is taken is an error. Else it is numbered.

    Raises:
        CommandLineError: if the name is taken and must be kept.
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
    """The newest `last.ckpt` of the runs called `name`.

    Args:
        name: what the run is called.
        keep_name: whether numbered successors are left out.

    Raises:
        CommandLineError: if there is none.
    """
    folders = [RUNS / name] if keep_name else runs_named(name)
    found = [path for folder in folders if (path := folder / _CHECKPOINTS / _LAST).exists()]
    if not found:
        raise CommandLineError(
            f"there is no checkpoint {RUNS / name / _CHECKPOINTS / _LAST}; train first, or name the run with --name"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint is of, or None if it does not lie in one."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == _CHECKPOINTS and (folder / CONFIG).is_file() else None
