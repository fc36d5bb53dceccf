"""The interface by which the files of a data set are read, whatever holds them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import final

from lightning_gan.data.decoding import IMAGE_SUFFIXES
from lightning_gan.data.shown import listed

LABELS_FILE = "dataset.json"

LARGEST_FILE_BYTES = 2**30
"""Larger files are no images, and would fill the memory."""


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
        if size is not None and size > LARGEST_FILE_BYTES:
            raise ValueError(f"it has {size:,} bytes, and image files may have 1 GiB")
        with self.open(name) as file:
            return file.read()


def about_hidden(hidden: Iterable[str]) -> list[str]:
    """Returns a remark on hidden files if there are images among them."""
    images = [name for name in hidden if name.lower().endswith(IMAGE_SUFFIXES) and "__MACOSX" not in name.split("/")]
    return [f"hidden images were left out: {listed(sorted(images))}"] if images else []
