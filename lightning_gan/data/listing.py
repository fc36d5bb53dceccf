"""The files of a data set in a folder or a zip: which there are, and which are refused before any is opened."""

import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast, final

from lightning_gan.data.decoding import IMAGE_SUFFIXES
from lightning_gan.data.inner_names import Names, is_hidden
from lightning_gan.data.shown import listed, shown

LABELS_FILE = "dataset.json"

_LARGEST_FILE_BYTES = 2**30
_LARGEST_EXPANSION = 100  # times the compressed size; matters for files of at least the size below
_SMALLEST_EXPANDING_BYTES = 64 * 2**20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 0x1
_OTHER_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"Rar!": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
"""First bytes of archives that are no zip."""


@final
@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder or a zip holds.

    Args:
        names: names of all files that are not hidden, sorted, relative to the top, with forward slashes.
        folders: names of all folders that are not hidden, with or without files in them.
        remarks: what was left out and is no error, for a person to read.
    """

    names: list[str]
    folders: set[str]
    remarks: list[str]


class Files(ABC):
    """Named files that can be opened from any process. Names are relative to the top and have forward slashes."""

    @property
    @abstractmethod
    def listing(self) -> Listing:
        """The files and folders."""

    @abstractmethod
    def open(self, name: str) -> BufferedIOBase:
        """Opens a file for reading; the caller closes it."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Returns the size of a file in bytes, or None if it cannot be read."""

    @abstractmethod
    def checksum(self, name: str) -> int | None:
        """Returns a checksum of the contents if it is known without reading them, otherwise None."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Returns a text that changes when the file is replaced: its size, and its time or checksum."""

    def contents(self, name: str) -> bytes:
        """Returns the bytes of a file.

        Raises:
            ValueError: if it is larger than 1 GiB.
            OSError: if it cannot be read.
        """
        size = self.size(name)
        if size is not None and size > _LARGEST_FILE_BYTES:
            raise ValueError(f"it has {size:,} bytes, and image files may have 1 GiB")
        with self.open(name) as file:
            return file.read()


@final
class Folder(Files):
    """The files below a folder. Links to folders are followed, and every folder is listed once.

    Raises:
        ValueError: if a folder cannot be read, a name leads out of the folder, or an image is a pipe or a device.
    """

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._places: dict[str, str] = {}
        self._listing = self._listed()

    @property
    def listing(self) -> Listing:
        return self._listing

    def open(self, name: str) -> BufferedIOBase:
        return (self._path / self._places.get(name, name)).open("rb")

    def size(self, name: str) -> int | None:
        status = self._status(name)
        return None if status is None else status.st_size

    def checksum(self, name: str) -> int | None:
        return None

    def stamp(self, name: str) -> str:
        status = self._status(name)
        return "unreadable" if status is None else f"{status.st_size} {status.st_mtime_ns}"

    def _status(self, name: str) -> os.stat_result | None:
        try:
            return (self._path / self._places.get(name, name)).stat()
        except OSError:  # a broken link; reading the file raises an error that names it
            return None

    def _listed(self) -> Listing:
        names, folders, hidden = Names(self._path), set[str](), list[str]()
        folders_seen, files_seen = set[tuple[int, int]](), set[tuple[int, int]]()
        copies, links_left_out = list[str](), list[str]()
        # Links wait until all folders are listed, so that a file has the name of its own folder and not of a link.
        waiting, links = deque([""]), deque[str]()
        while waiting or links:
            folder = waiting.popleft() if waiting else links.popleft()
            status = self._folder_status(folder)
            if (status.st_dev, status.st_ino) in folders_seen:
                links_left_out.append(folder)
                continue
            folders_seen.add((status.st_dev, status.st_ino))
            for entry in self._entries(folder):
                place = f"{folder}/{entry.name}" if folder else entry.name
                name = names.checked(place)
                if is_hidden(name):
                    hidden.append(name)
                elif os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                    folders.add(name)
                    (links if entry.is_symlink() else waiting).append(place)
                elif _is_broken_link(entry) or entry.is_file():
                    if _is_known(entry, files_seen, device=status.st_dev):
                        copies.append(name)
                    names.add(name, place)
                else:
                    self._refuse_if_image(name)
        self._places = names.places
        folders -= set(links_left_out)
        remarks = []
        if links_left_out:
            remarks.append(f"links to folders that are listed already were left out: {listed(sorted(links_left_out))}")
        if copies:
            remarks.append(f"files under a second name: {listed(sorted(copies))}")
        return Listing(names=names.sorted(), folders=folders, remarks=[*remarks, *_about_hidden(hidden)])

    def _folder_status(self, folder: str) -> os.stat_result:
        with self._telling_of(folder):
            return (self._path / folder).stat()

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        with self._telling_of(folder), os.scandir(self._path / folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    @contextmanager
    def _telling_of(self, folder: str) -> Iterator[None]:
        """Turns errors of the disk into a ValueError with a remedy."""
        try:
            yield
        except OSError as error:
            raise ValueError(
                f"{shown(self._path / folder)} cannot be read ({error.strerror}); change its permissions or remove it"
            ) from error

    def _refuse_if_image(self, name: str) -> None:
        if name.lower().endswith(IMAGE_SUFFIXES) or name == LABELS_FILE:
            raise ValueError(
                f"{shown(self._path / name)} is a pipe, a socket or a device and no regular file; remove it"
            )


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

    def checksum(self, name: str) -> int | None:
        return self._member(name).CRC

    def stamp(self, name: str) -> str:
        member = self._member(name)
        return f"{member.file_size} {member.CRC}"

    def _member(self, name: str) -> zipfile.ZipInfo:
        return self._opened().getinfo(self._places.get(name, name))

    def _listed(self) -> Listing:
        names, folders, hidden, faults = Names(self._path), set[str](), list[str](), list[str]()
        contents: Counter[tuple[int, int]] = Counter()
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
                contents[member.file_size, member.CRC] += 1
                if fault := _fault_of(member):
                    faults.append(f"{shown(name)} {fault}")
        if faults:
            raise ValueError(f"{shown(self._path)}: {faults[0]}" + f" (and {len(faults) - 1} more)" * (len(faults) > 1))
        self._places = names.places
        copies = sum(count - 1 for count in contents.values())
        remarks = [f"{copies} images are equal to another one"] if copies else []
        return Listing(names=names.sorted(), folders=folders, remarks=[*remarks, *_about_hidden(hidden)])

    def _opened(self) -> zipfile.ZipFile:
        if self._zip is None or self._opened_by != os.getpid():
            self._zip = zipfile.ZipFile(self._path)
            self._opened_by = os.getpid()
        return self._zip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zip": None}


def files_at(path: Path) -> Files:
    """Returns the files of a folder or zip.

    Raises:
        ValueError: if `path` does not exist, is neither a folder nor a complete zip, or holds what is refused.
    """
    remedy = "give a folder of images or a zip"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{shown(path)} does not exist; {remedy}") from error
    except (OSError, ValueError) as error:  # no permission, a name that is too long; a null character
        raise ValueError(f"{shown(path)} cannot be read ({shown(error)}); {remedy}") from error
    if stat.S_ISDIR(mode):
        return Folder(path=path)
    if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
        raise ValueError(f"{shown(path)} is a pipe, a socket or a device; {remedy}")
    try:
        if zipfile.is_zipfile(path):
            return Archive(path=path)
        with path.open("rb") as file:
            beginning = file.read(262)
    except OSError as error:
        raise ValueError(f"{shown(path)} cannot be read ({error.strerror}); {remedy}") from error
    others = [kind for first, kind in _OTHER_ARCHIVES.items() if beginning.startswith(first)]
    if others or beginning[257:262] == b"ustar":
        kind = others[0] if others else "tar"
        raise ValueError(f"{shown(path)} is a {kind} archive, which is not read; unpack it and give the folder")
    if path.name.lower().endswith(IMAGE_SUFFIXES):
        raise ValueError(f"{shown(path)} is a single file; give the folder that holds it")
    raise ValueError(f"{shown(path)} is neither a folder nor a complete zip; {remedy}")


def _folders_of(name: str) -> set[str]:
    parts = name.split("/")[:-1]
    return {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}


def _fault_of(member: zipfile.ZipInfo) -> str | None:
    """Returns what is wrong with a member of a zip by its entry alone, as the end of a sentence, or None."""
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted; unpack the zip with its password and give the folder"
    if member.compress_type not in _COMPRESSIONS:
        return f"is compressed by method {member.compress_type}, which is not read; unpack the zip and give the folder"
    if member.file_size > _LARGEST_FILE_BYTES:
        return f"would have {member.file_size:,} bytes when unpacked, and files may have 1 GiB; remove it"
    expands = member.file_size > _LARGEST_EXPANSION * member.compress_size
    if expands and member.file_size > _SMALLEST_EXPANDING_BYTES:
        return (
            f"would grow from {member.compress_size:,} to {member.file_size:,} bytes when unpacked, "
            "as only an attack on memory does; remove it"
        )
    return None


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _is_known(entry: os.DirEntry[str], seen: set[tuple[int, int]], *, device: int) -> bool:
    """Returns whether a link or a file is a file that has been seen under another name, and remembers it."""
    file = (device, entry.inode())  # known without asking the disk for every file
    if entry.is_symlink():
        try:
            status = entry.stat()
        except OSError:  # a broken link
            return False
        file = (status.st_dev, status.st_ino)
    known = file in seen
    seen.add(file)
    return known


def _about_hidden(hidden: Iterable[str]) -> list[str]:
    images = [name for name in hidden if name.lower().endswith(IMAGE_SUFFIXES) and "__MACOSX" not in name.split("/")]
    return [f"hidden images were left out: {listed(sorted(images))}"] if images else []
