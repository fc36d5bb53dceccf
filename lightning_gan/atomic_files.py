"""Atomic writing: a file is either complete or absent, even if the process is killed while it writes."""

import os
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


def _flush_directory(directory: Path) -> None:
    """Flush a directory, so that a rename in it survives a power failure. Windows cannot do this and is skipped."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
