"""Atomic writing: a file is either complete or absent, even if the process is killed while it writes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(path: Path, *, draft_folder: Path | None = None) -> Iterator[IO[bytes]]:
    """Context manager that opens a binary file for writing and renames it to `path` when the block ends.

    The data are first written to a draft, `<name>.unfinished`, which is flushed to the disk and then renamed. If the
    block raises an error, an earlier file at `path` is unchanged and the draft is deleted. If the process is killed, an
    earlier file at `path` is unchanged as well, and the next call overwrites the draft that is left.

    Args:
        path: path of the finished file. Missing folders are created.
        draft_folder: existing folder for the draft, on the same file system as `path`. None means the folder of `path`.

    Yields:
        The open draft.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is always the same, so that the next call overwrites a draft that a killed process has left.
    draft = (path.parent if draft_folder is None else draft_folder) / f"{path.name}.unfinished"
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _flush_directory(path.parent)


def put_in_place(draft: Path, path: Path, *, previous: Path | None) -> None:
    """Rename a complete file or folder to `path`, where an earlier one may be.

    At every moment the new one, the earlier one or both are complete under one of the three names.

    Args:
        draft: file or folder that is complete, on the same file system as `path`.
        path: its final path.
        previous: path that the earlier one at `path` gets, in place of what is there; None deletes it.
    """
    if path.is_dir() or draft.is_dir():
        _flush_tree(draft)
        aside = path.with_name(f"{path.name}.earlier") if previous is None else previous
        if path.exists():
            _remove(aside)
            path.rename(aside)
        draft.rename(path)
        if previous is None:
            _remove(aside)
    else:
        if previous is not None and path.exists():
            _keep(path, previous)
        os.replace(draft, path)
    _flush_directory(path.parent)


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, in place of what has it. Where this cannot be done, rename the file."""
    if previous.is_dir():
        _remove(previous)
    link = previous.with_name(f"{previous.name}.unfinished")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        os.replace(path, previous)
    else:
        os.replace(link, previous)


def _remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def why_not_writable(folder: Path) -> str | None:
    """Why files cannot be written to a folder, found by writing one; None if they can. The folder is created.

    Args:
        folder: the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The name has the number of the process, because several ranks may do this at the same time.
        probe = folder / f"{PROBE}{os.getpid()}"
        try:
            probe.write_bytes(b"probe")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return cause_of(error)
    return None


PROBE = ".writable."
"""Beginning of the names of files that `why_not_writable` writes and deletes."""


def cause_of(error: OSError) -> str:
    """The cause of an error of the operating system in words, with the path that it is about.

    Example:
        >>> cause_of(FileNotFoundError(2, "No such file or directory", "runs/a"))
        'No such file or directory: runs/a'
    """
    cause = error.strerror or str(error)
    return cause if error.filename is None else f"{cause}: {error.filename}"


def _flush_tree(folder: Path) -> None:
    """Flush all files of a folder to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _flush_directory(directory: Path) -> None:
    """Flush a directory, so that a rename in it survives a power failure. Windows cannot do this and is skipped."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
