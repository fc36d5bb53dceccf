"""Checkpoint files: they are written whole or not at all, carry a hash, and are believed only when they are whole.

Lightning writes a checkpoint to `$TMPDIR` and renames it. If that is on another file system, as on most clusters, the
file is copied, and a process that is killed during the copy leaves an incomplete file under the final name.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_gan.atomic_files import written_whole
from lightning_gan.loop.checkpoint_hash import hash_matches, save_with_hash

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
EARLIER_RUN = "earlier_run_"
"""Beginning of the names of checkpoints that belong to an earlier run in the same folder."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or cannot or must not be written. The message is one line for the user."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin, `Trainer(plugins=[AtomicCheckpointIO()])`, that never leaves an incomplete file.

    If the process is killed while it writes, the previous file is unchanged. Each file carries the hash of its content,
    and a file with another content is refused. Files without a hash, of Lightning or of an earlier version of this
    package, are read too. Loading is restricted to tensors and plain types (`weights_only=True`) unless the caller
    passes False. Lightning reads and writes files that are not on a local file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint file.

        Args:
            checkpoint: content of the checkpoint.
            path: path of the file that is written.
            storage_options: must be None, as in Lightning.

        Raises:
            TypeError: if `storage_options` is not None.
        """
        filesystem, local_path = url_to_fs(str(path))
        if storage_options is not None or not isinstance(filesystem, LocalFileSystem):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with written_whole(Path(local_path)) as file:
            save_with_hash(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint file.

        Args:
            path: local path or URL of the file.
            map_location: device that tensors are loaded to, with the meaning that it has in `torch.load`.
            weights_only: False also runs pickled code. Use it only for files from a trusted source.

        Raises:
            FileNotFoundError: if there is no such file.
            CheckpointError: if a local file is damaged, or is no file of `torch.save`, or contains pickled code.
        """
        filesystem, local_path = url_to_fs(str(path))
        if not isinstance(filesystem, LocalFileSystem) or not Path(local_path).is_file():
            return super().load_checkpoint(path, map_location, weights_only=weights_only is not False)
        content: dict[str, Any] = _loaded(Path(local_path), map_location, weights_only=weights_only is not False)
        return content


def read_checkpoint(path: Path, *, for_training: bool) -> dict[str, Any]:
    """Read the checkpoint of a training, and check that it is whole. The tensors are on the CPU, mapped from the file.

    Args:
        path: path of a checkpoint file, or of the folder of a sharded checkpoint, of which the tensors are not read.
        for_training: whether training shall go on from it, for which the states of the optimizers are needed.

    Raises:
        CheckpointError: if there is no such file, or it is damaged, or it is not the checkpoint of a training.
    """
    if path.is_dir():
        if not (path / "meta.pt").is_file() or not (path / ".metadata").is_file():
            raise CheckpointError(
                f"{path} is a folder and not a sharded checkpoint (those contain meta.pt and .metadata); give the path "
                "of a checkpoint file, such as checkpoints/last.ckpt"
            )
        return _with_parts(_loaded(path / "meta.pt", "cpu", weights_only=True), path, needed=())
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint {path}; give the path of an existing file")
    needed = ("state_dict", "loops", "optimizer_states", "lr_schedulers") if for_training else ("state_dict",)
    return _with_parts(_loaded(path, "cpu", weights_only=True, mmap=True), path, needed=needed)


@dataclass(frozen=True, kw_only=True)
class FoundCheckpoint:
    """The newest whole checkpoint of a folder.

    Attributes:
        path: path of the checkpoint; None if the folder has none that is whole.
        skipped: one line for each file that may be newer and cannot be used, naming the file and the reason.
    """

    path: Path | None
    skipped: tuple[str, ...]


def newest_whole_checkpoint(folder: Path) -> FoundCheckpoint:
    """Find the newest checkpoint in a folder from which training can go on.

    The newest is the one with the largest `global_step`. `last.ckpt`, `previous.ckpt` and `kimg_*.ckpt` come first.
    Other checkpoints, such as those of Lightning's `ModelCheckpoint`, are used if none of these is whole. Checkpoints
    of earlier runs (`earlier_run_*.ckpt`) are not used.

    Args:
        folder: folder of checkpoints, on a local file system. It need not exist.
    """
    paths = [path for path in folder.glob("*.ckpt") if not path.name.startswith(EARLIER_RUN)]
    own = [path for path in paths if path.name in (LAST, PREVIOUS) or path.name.startswith("kimg_")]
    others = [path for path in paths if path not in own]
    skipped: list[str] = []
    for group in (own, others):
        for path in sorted(group, key=_age):
            try:
                read_checkpoint(path, for_training=True)
            except CheckpointError as error:
                skipped.append(str(error))
            else:
                return FoundCheckpoint(path=path, skipped=tuple(skipped))
    return FoundCheckpoint(path=None, skipped=tuple(skipped))


def _age(path: Path) -> tuple[float, int, float]:
    """A key that sorts checkpoints from the newest to the oldest. Those that cannot be read come first."""
    place = [LAST, PREVIOUS].index(path.name) if path.name in (LAST, PREVIOUS) else 2
    try:
        file = path / "meta.pt" if path.is_dir() else path
        steps = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["global_step"]
        return -float(steps), place, -path.stat().st_mtime
    # What `torch.load` raises for a damaged file depends on the place of the damage.
    except Exception:
        return -float("inf"), place, 0.0


def _with_parts(content: Any, path: Path, *, needed: tuple[str, ...]) -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        CheckpointError: if it is not the checkpoint of a training.
    """
    own = "a checkpoint of this command line or of Lightning's Trainer is needed"
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} contains a {type(content).__name__} and no checkpoint of a training; {own}")
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(
            f"{path} contains tensors alone (a plain state dict) and no checkpoint of a training; {own}. In Python, "
            "load_state_dict takes this file"
        )
    missing = [name for name in needed if name not in content]
    if not missing:
        return content
    if "state_dict" in content:
        raise CheckpointError(
            f"{path} has no {missing[0]}: it was saved without the state of the training (save_weights_only=True), so "
            "that `test` and `validate` take it and `fit` does not; give another checkpoint"
        )
    keys = ", ".join(str(key) for key in list(content)[:3])
    raise CheckpointError(f"{path} has no {missing[0]} and is no checkpoint of a training (it has {keys}); {own}")


def _loaded(path: Path, map_location: Any, *, weights_only: bool, mmap: bool = False) -> Any:
    """The content of a file of `torch.save`, after its bytes have been compared with its hash or checksums.

    Raises:
        CheckpointError: if the file cannot be read, is damaged, or contains pickled code while `weights_only` is set.
    """
    another = "use another checkpoint of the run (--ckpt_path last finds the newest whole one)"
    try:
        if path.stat().st_size == 0:
            raise CheckpointError(f"{path} is empty (0 bytes); {another}")
        matches = hash_matches(path)
        if matches is None:
            _check_archive(path, another)
        elif not matches:
            raise CheckpointError(f"{path} is damaged: its bytes are not those that were saved (sha256); {another}")
        return torch.load(path, map_location=map_location, weights_only=weights_only, mmap=mmap)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}; {another}") from error
    except UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} contains a pickled {found[1]}, which could run any code; only tensors and plain values are "
                "read. Save it without such objects, or use another checkpoint"
            ) from error
        raise CheckpointError(f"{path} is not a file of torch.save, or it is damaged; {another}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not a file of torch.save, or it is damaged; {another}") from error


def _check_archive(path: Path, another: str) -> None:
    """Compare the parts of a file without a hash with their checksums.

    Raises:
        CheckpointError: if a part is damaged, or the end of the file is missing.
    """
    with path.open("rb") as file:
        begins_like_one = file.read(4) == b"PK\3\4"
    if not zipfile.is_zipfile(path):
        if begins_like_one:
            raise CheckpointError(f"{path} is damaged: the end of the file is missing; {another}")
        return  # a format of old versions of torch, which has no checksums, or a file of another kind
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: {damaged} in it has another checksum; {another}")
