"""Files that are whole or not there, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(path: Path, *, draft_folder: Path | None = None) -> Iterator[IO[bytes]]:
    """Opens a file for writing that takes the name `path` on leaving, once all of it is on the disk.

    It is written beside its target, flushed to the disk and renamed. An error in the block leaves the old file, or
    none, and no draft; a kill at any time leaves the old file, or none, and a draft that the next call overwrites.

    Args:
        path: name of the file; missing folders are made.
        draft_folder: folder for the draft, on the same file system; None is the folder of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that what a kill leaves behind is overwritten.
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
    """Make a rename in it last beyond a loss of power, where directories can be flushed at all (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
