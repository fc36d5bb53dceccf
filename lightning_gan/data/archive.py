"""The files of a data set in a zip: which there are, and which are refused before any is opened."""

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast, final

from lightning_gan.data.decoding import IMAGE_SUFFIXES
from lightning_gan.data.inner_names import Names, is_hidden
from lightning_gan.data.named_files import LABELS_FILE, LARGEST_FILE_BYTES, FileFacts, Files, Listing, about_hidden
from lightning_gan.data.shown import shown
from lightning_gan.data.stored_values import ARRAY_SUFFIX

_LARGEST_EXPANSION = 100  # times the compressed size; matters for files of at least the size below
_SMALLEST_EXPANDING_BYTES = 64 * 2**20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 0x1


@final
class Archive(Files):
    """The files in a zip, compressed or not. Each process opens the zip itself: a shared handle shares its position.

    Raises:
        ValueError: if the zip is damaged, holds two files of one name, a name leads out of it, or its images are
            encrypted, compressed by an unknown method, or so large that only an attack would make them.
    """

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None
        self._opened_by = -1
        self._places: dict[str, str] = {}
        self._listing = self._listed()

    @property
    def listing(self) -> Listing:
        return self._listing

    def open(self, name: str) -> BufferedIOBase:
        return cast(BufferedIOBase, self._opened().open(self._places.get(name, name)))

    def size(self, name: str) -> int | None:
        return self._member(name).file_size

    def facts(self, names: Sequence[str]) -> FileFacts:
        members = [self._member(name) for name in names]
        return FileFacts(
            sizes=[member.file_size for member in members],
            stamps=[f"{member.file_size} {member.CRC}" for member in members],
            checksums=[member.CRC for member in members],
        )

    def _member(self, name: str) -> zipfile.ZipInfo:
        return self._opened().getinfo(self._places.get(name, name))

    def _listed(self) -> Listing:
        names, folders, hidden = Names(self._path), set[str](), list[str]()
        images, arrays = list[tuple[str, zipfile.ZipInfo]](), list[tuple[str, zipfile.ZipInfo]]()
        try:
            members = self._opened().infolist()
        # Damaged directories raise nearly anything: BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError.
        except Exception as error:
            raise ValueError(f"{shown(self._path)} is a damaged zip ({shown(error)}); get it again") from error
        for member in members:
            name = names.checked(member.filename)
            if is_hidden(name):
                hidden.append(name)
                continue
            is_folder = member.filename.endswith(("/", "\\"))
            folders |= _folders_of(f"{name}/" if is_folder else name)
            if is_folder:
                continue
            names.add(name, member.filename)
            if name.lower().endswith((*IMAGE_SUFFIXES, LABELS_FILE)):
                images.append((name, member))
            elif name.lower().endswith(ARRAY_SUFFIX):
                arrays.append((name, member))
        if all(name.endswith(LABELS_FILE) for name, _ in images):  # beside images, arrays are not read
            images += arrays
        contents = Counter((member.file_size, member.CRC) for _, member in images)
        faults = [f"{shown(name)} {fault}" for name, member in images if (fault := _fault_of(member))]
        if faults:
            raise ValueError(f"{shown(self._path)}: {faults[0]}" + f" (and {len(faults) - 1} more)" * (len(faults) > 1))
        self._places = names.places
        copies = sum(count - 1 for count in contents.values())
        remarks = [f"{copies} images are equal to another one"] if copies else []
        return Listing(names=names.sorted(), folders=folders, remarks=[*remarks, *about_hidden(hidden)])

    def _opened(self) -> zipfile.ZipFile:
        if self._zip is None or self._opened_by != os.getpid():
            self._zip = zipfile.ZipFile(self._path)
            self._opened_by = os.getpid()
        return self._zip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zip": None}


def _folders_of(name: str) -> set[str]:
    parts = name.split("/")[:-1]
    return {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}


def _fault_of(member: zipfile.ZipInfo) -> str | None:
    """Returns what is wrong with a member of a zip by its entry alone, as the end of a sentence, or None."""
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted; unpack the zip with its password and give the folder"
    if member.compress_type not in _COMPRESSIONS:
        return f"is compressed by method {member.compress_type}, which is not read; unpack the zip and give the folder"
    if member.file_size > LARGEST_FILE_BYTES:
        return f"would have {member.file_size:,} bytes when unpacked, and files may have 1 GiB; remove it"
    expands = member.file_size > _LARGEST_EXPANSION * member.compress_size
    if expands and member.file_size > _SMALLEST_EXPANDING_BYTES:
        return (
            f"would grow from {member.compress_size:,} to {member.file_size:,} bytes when unpacked, "
            "as only an attack on memory does; remove it"
        )
    return None
