"""Small data sets in folders and zips, by the names of their files."""

import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 4


def image(number: int = 0, *, form: str = "PNG") -> bytes:
    """One small image in a file; its pixels are `number`."""
    file = BytesIO()
    Image.fromarray(np.full((SIZE, SIZE, 3), number, dtype=np.uint8)).save(file, form)
    return file.getvalue()


def folder_of(path: Path, names: Sequence[str], *, others: Mapping[str, bytes] | None = None) -> Path:
    """A folder of images, and of other files with their contents."""
    contents = {name: image(number) for number, name in enumerate(names)} | dict(others or {})
    path.mkdir(exist_ok=True)
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zip_of(path: Path, names: Sequence[str], *, others: Mapping[str, bytes] | None = None) -> Path:
    """A zip of images, and of other files with their contents; names may be repeated."""
    members = [(name, image(number)) for number, name in enumerate(names)] + list((others or {}).items())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are repeated
        for name, content in members:
            member = zipfile.ZipInfo()
            member.filename = name  # as it is, with backslashes
            archive.writestr(member, content)
    return path


def labels(rows: object, **more: object) -> dict[str, bytes]:
    """A `dataset.json` with these labels."""
    return {"dataset.json": json.dumps({"labels": rows, **more}).encode()}


def png(width: int, height: int, *, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    """A PNG with any numbers in its header: bits per channel, and 0 for grey, 2 for RGB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_entry_changed(path: Path, name: str, *, offset: int, value: bytes) -> Path:
    """A zip of which the entry of one file in the central directory is changed, counted from its signature."""
    contents = bytearray(path.read_bytes())
    start = contents.index(b"PK\x01\x02")
    while contents[start + 46 : start + 46 + len(name)] != name.encode():
        start = contents.index(b"PK\x01\x02", start + 1)
    contents[start + offset : start + offset + len(value)] = value
    path.write_bytes(contents)
    return path
