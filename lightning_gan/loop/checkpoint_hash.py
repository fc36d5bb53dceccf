"""The hash that a checkpoint carries, by which one flipped byte is detected.

`torch.save` writes a zip archive. The hash of all its bytes is put into the archive's comment, where every reader of
zip archives, `torch.load` and Lightning among them, ignores it. The folder of a sharded checkpoint gets a list of the
hashes of its files.
"""

import hashlib
from pathlib import Path
from typing import IO, Any

import torch

_BEGIN = b"PK\3\4"  # of every zip archive that is not empty
_END = b"PK\5\6"  # begins the last record of an archive without a comment, which has 22 bytes
_END_LENGTH = 22
_NO_COMMENT = b"\0\0"  # the last two bytes of that record are the length of the comment behind it
_PREFIX = b"lightning_gan sha256="
_COMMENT_LENGTH = len(_PREFIX) + 64  # the hash in hexadecimal digits
_PIECE_BYTES = 2**24
_LIST = "sha256.txt"  # in the format of sha256sum, so that `sha256sum --check sha256.txt` compares, too


class _HashedFile:
    """A file, open for writing, that computes the hash of what passes through."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        self.hash.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self.file.flush()


def save_with_hash(content: dict[str, Any], file: IO[bytes]) -> None:
    """Write what `torch.save` writes, and its hash behind it as the archive's comment.

    Args:
        content: what is saved.
        file: file that is open for writing, at its beginning.

    Raises:
        OSError: if the file cannot be written.
    """
    hashed = _HashedFile(file)
    try:
        torch.save(content, hashed)  # type: ignore[arg-type]  # torch calls only `write` and `flush`
    except RuntimeError:
        # In place of a full disk, torch reports that its position in the file is not what it should be.
        if hashed.failure is not None:
            raise hashed.failure from None
        raise
    file.seek(-len(_NO_COMMENT), 1)
    file.write(_comment_of(hashed.hash.hexdigest()))


def hash_matches(path: Path) -> bool | None:
    """Whether a file has the content that its hash was computed from.

    Args:
        path: path of a file.

    Returns:
        None for a file without a hash: one that is no zip archive, or an archive without a comment.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        if length < _END_LENGTH or file.read(len(_BEGIN)) != _BEGIN:
            return None
        file.seek(-_END_LENGTH, 2)
        end = file.read()
        if end.startswith(_END) and end.endswith(_NO_COMMENT):
            return None
        body = length - _COMMENT_LENGTH - len(_NO_COMMENT)
        if body < _END_LENGTH:
            return False
        file.seek(0)
        found = hashlib.sha256()
        while body > 0:
            piece = file.read(min(body, _PIECE_BYTES))
            found.update(piece)
            body -= len(piece)
        found.update(_NO_COMMENT)
        return file.read() == _comment_of(found.hexdigest())


def _comment_of(digest: str) -> bytes:
    """The end of an archive with a hash: the length of the comment and the comment."""
    return _COMMENT_LENGTH.to_bytes(2, "little") + _PREFIX + digest.encode()


def write_hashes(folder: Path) -> None:
    """Write the hashes of all files in a folder to a list in it.

    Args:
        folder: folder of a sharded checkpoint that is complete.

    Raises:
        OSError: if a file cannot be read, or the list cannot be written.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != _LIST)
    lines = [f"{_hash_of(folder / name)}  {name}\n" for name in names]
    (folder / _LIST).write_text("".join(lines), encoding="utf-8")


def changed_file(folder: Path) -> str | None:
    """The name of a file of a folder that is missing or has another content than in the list of its hashes.

    Args:
        folder: folder of a sharded checkpoint.

    Returns:
        None if all files are as they were saved, or if the folder has no list.
    """
    if not (folder / _LIST).is_file():
        return None
    for line in (folder / _LIST).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if Path(name).name != name or not (folder / name).is_file() or _hash_of(folder / name) != digest:
            return name if Path(name).name == name else _LIST
    return None


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
