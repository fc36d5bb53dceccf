"""Checkpoint files: they are written whole or not at all, carry a hash, and are believed only when they are whole.

Lightning writes a checkpoint to `$TMPDIR` and renames it. If that is on another file system, as on most clusters, the
file is copied, and a process that is killed during the copy leaves an incomplete file under the final name.
"""

import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Trainer
from torch.distributed.checkpoint.api import CheckpointException

from lightning_gan.atomic_files import cause_of, put_in_place, written_whole
from lightning_gan.compat import checkpoint_of
from lightning_gan.loop.checkpoint_hash import changed_file, hash_matches, save_with_hash, write_hashes

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
        path: path of a checkpoint file, or of the folder of a sharded checkpoint, whose tensors are not returned.
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
        if (name := changed_file(path)) is not None:
            raise CheckpointError(
                f"{path} is damaged: {name} is not what was saved (sha256); use another checkpoint of the run "
                "(--ckpt_path last finds the newest whole one)"
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


def newest_whole_checkpoint(folder: Path, *, for_training: bool = True) -> FoundCheckpoint:
    """Find the newest whole checkpoint in a folder.

    `last.ckpt` is taken if it is whole. Otherwise it is the file that was written last among `previous.ckpt` and
    `kimg_*.ckpt`, and if none of these is whole, among all others, such as those of Lightning's `ModelCheckpoint`.
    Checkpoints of earlier runs (`earlier_run_*.ckpt`) are not used.

    Args:
        folder: folder of checkpoints, on a local file system. It need not exist.
        for_training: whether training shall go on from it, for which the states of the optimizers are needed.
    """
    paths = [path for path in folder.glob("*.ckpt") if not path.name.startswith(EARLIER_RUN)]
    skipped: list[str] = []
    for path in sorted(paths, key=_order):
        try:
            read_checkpoint(path, for_training=for_training)
        except CheckpointError as error:
            skipped.append(str(error))
        else:
            return FoundCheckpoint(path=path, skipped=tuple(skipped))
    return FoundCheckpoint(path=None, skipped=tuple(skipped))


def _order(path: Path) -> tuple[bool, bool, int, bool]:
    """A key that sorts the checkpoints of a folder into the order in which they are tried."""
    is_own = path.name in (LAST, PREVIOUS) or path.name.startswith("kimg_")
    return path.name != LAST, not is_own, -path.stat().st_mtime_ns, path.name != PREVIOUS


def save_together(trainer: Trainer, path: str, *, previous: str | None, weights_only: bool) -> str | None:
    """Write a checkpoint of the trainer's present state. Every rank has to call it.

    On a local file system the checkpoint is written under another name, `<path>.new`, and then renamed, so that
    an earlier one stays until the new one is complete. This holds for the folders of sharded checkpoints, too.

    Args:
        trainer: trainer whose state is saved.
        path: local path or URL of the checkpoint.
        previous: path that an earlier checkpoint at `path` gets; None deletes it. Not used for URLs.
        weights_only: True leaves out the states of callbacks and optimizers.

    Returns:
        The cause if the file cannot be written, the same on every rank; None if it was written.
    """
    checkpoint = checkpoint_of(trainer, weights_only=weights_only)
    filesystem, local_path = url_to_fs(path)
    is_local, first = isinstance(filesystem, LocalFileSystem), trainer.is_global_zero
    draft = f"{path}.new" if is_local else path
    if is_local and first:
        shutil.rmtree(f"{local_path}.new", ignore_errors=True)  # the folder of a sharded save that was interrupted
    cause: str | None = None
    try:
        trainer.strategy.save_checkpoint(checkpoint, draft)
    except OSError as error:
        cause = cause_of(error)
    except RuntimeError as error:  # what `torch.save` raises for a full disk, in strategies that write by themselves
        if "inline_container" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        cause = "torch.save could not write all of it"
    except CheckpointException as error:  # a rank could not write its part; raised on every rank
        cause = " ".join(str(error).split())
    if is_local and first and cause is None:
        try:
            if Path(f"{local_path}.new").is_dir():
                write_hashes(Path(f"{local_path}.new"))
            kept = None if previous is None else Path(url_to_fs(previous)[1])
            put_in_place(Path(f"{local_path}.new"), Path(local_path), previous=kept)
        except OSError as error:
            cause = cause_of(error)
    agreed: str | None = trainer.strategy.broadcast(cause)
    return agreed


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
            "that `test` and `validate` take it and `fit` does not continue it; give another checkpoint, or begin anew "
            "with its weights (fit --weights)"
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
