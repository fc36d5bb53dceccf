"""The files of a data set in a folder or a zip: which there are, and which are refused before any is opened."""

import os
import stat
import zipfile
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedIOBase
from operator import attrgetter
from pathlib import Path
from typing import final

from lightning_gan.data.archive import Archive
from lightning_gan.data.decoding import IMAGE_SUFFIXES
from lightning_gan.data.inner_names import Names, is_hidden
from lightning_gan.data.named_files import LABELS_FILE, FileFacts, Files, Listing, about_hidden
from lightning_gan.data.shown import listed, shown
from lightning_gan.data.stored_values import ARRAY_SUFFIX

_THREADS = 16
_NAMES_AT_ONCE = 1024
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
        return Listing(names=names.sorted(), folders=folders, remarks=[*remarks, *about_hidden(hidden)])

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
        if name.lower().endswith((*IMAGE_SUFFIXES, ARRAY_SUFFIX)) or name == LABELS_FILE:
            raise ValueError(
                f"{shown(self._path / name)} is a pipe, a socket or a device and no regular file; remove it"
            )


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
    if path.name.lower().endswith((*IMAGE_SUFFIXES, ARRAY_SUFFIX)):
        raise ValueError(f"{shown(path)} is a single file; give the folder that holds it")
    raise ValueError(f"{shown(path)} is neither a folder nor a complete zip; {remedy}")


def _target_of(link: os.DirEntry[str]) -> tuple[int, int]:
    """Returns the device and the number of the file that a link leads to; those of the link itself if it is broken."""
    try:
        status = link.stat()
    except OSError:
        status = link.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino
