"""The files of a data set in a folder or a zip: which there are, and which are refused before any is opened."""

import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from operator import attrgetter
from pathlib import Path
from typing import Any, cast, final

from lightning_gan.data.decoding import IMAGE_SUFFIXES
from lightning_gan.data.inner_names import Names, is_hidden
from lightning_gan.data.shown import listed, shown

LABELS_FILE = "dataset.json"

_THREADS = 16
_NAMES_AT_ONCE = 1024
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


@final
@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What is known of several files without reading them, each list in the order of the files.

    Three lists of plain values, because Python's garbage collector would look at one object for each file, again and
    again while they are made.

    Args:
        sizes: their sizes in bytes; None for a file that cannot be read.
        stamps: texts that change when a file is replaced: its size, and its time or checksum.
        checksums: checksums of their contents; None if these are not known without reading them.
    """

    sizes: list[int | None]
    stamps: list[str]
    checksums: list[int] | None


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
    def facts(self, names: Sequence[str]) -> FileFacts:
        """Returns what is known of files without reading them."""

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
        self._top = os.path.join(path, "")
        self._places: dict[str, str] = {}
        self._listing = self._listed()

    @property
    def listing(self) -> Listing:
        return self._listing

    def open(self, name: str) -> BufferedIOBase:
        return open(self._path_of(name), "rb")

    def size(self, name: str) -> int | None:
        try:
            return os.stat(self._path_of(name)).st_size
        except OSError:  # as below
            return None

    def facts(self, names: Sequence[str]) -> FileFacts:
        # In threads, because a disk in the network answers each question after a while.
        parts = [names[start : start + _NAMES_AT_ONCE] for start in range(0, len(names), _NAMES_AT_ONCE)]
        sizes, stamps = list[int | None](), list[str]()
        with ThreadPoolExecutor(_THREADS) as threads:
            for some_sizes, some_stamps in threads.map(self._sizes_and_stamps, parts):
                sizes += some_sizes
                stamps += some_stamps
        return FileFacts(sizes=sizes, stamps=stamps, checksums=None)

    def _sizes_and_stamps(self, names: Sequence[str]) -> tuple[list[int | None], list[str]]:
        sizes, stamps = list[int | None](), list[str]()
        for name in names:
            try:
                status = os.stat(self._path_of(name))
            except OSError:  # a broken link; reading the file raises an error that names it
                sizes.append(None)
                stamps.append("unreadable")
            else:
                sizes.append(status.st_size)
                stamps.append(f"{status.st_size} {status.st_mtime_ns}")
        return sizes, stamps

    def _path_of(self, name: str) -> str:
        # Text, because pathlib's objects take longer to make than the disk takes to answer.
        return f"{self._top}{self._places.get(name, name)}"

    def _listed(self) -> Listing:
        names, folders, hidden = Names(self._path), set[str](), list[str]()
        folders_seen, files_seen = set[tuple[int, int]](), defaultdict[int, set[int]](set)  # by their device
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
            beginning = f"{folder}/" if folder else ""
            for entry in self._entries(folder):
                place = f"{beginning}{entry.name}"
                name = names.checked(place)
                if is_hidden(name):
                    hidden.append(name)
                elif os.path.isdir(entry.path) if (is_link := entry.is_symlink()) else entry.is_dir():
                    folders.add(name)
                    (links if is_link else waiting).append(place)
                elif (is_link and not os.path.exists(entry.path)) or entry.is_file():  # a broken link, or a file
                    device, inode = _target_of(entry) if is_link else (status.st_dev, entry.inode())
                    if inode in files_seen[device]:
                        copies.append(name)
                    files_seen[device].add(inode)
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
            return sorted(entries, key=attrgetter("name"))

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


def _target_of(link: os.DirEntry[str]) -> tuple[int, int]:
    """Returns the device and the number of the file that a link leads to; those of the link itself if it is broken."""
    try:
        status = link.stat()
    except OSError:
        status = link.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino


def _about_hidden(hidden: Iterable[str]) -> list[str]:
    images = [name for name in hidden if name.lower().endswith(IMAGE_SUFFIXES) and "__MACOSX" not in name.split("/")]
    return [f"hidden images were left out: {listed(sorted(images))}"] if images else []
