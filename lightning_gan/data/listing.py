"""The files of a data set in a folder or a zip, and their classes by folder names or by a `dataset.json`."""

import json
import os
import zipfile
from abc import ABC, abstractmethod
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast, final

import torch

from lightning_gan.data.images import ClassLabels

_LABELS_FILE = "dataset.json"


class Files(ABC):
    """Named files that can be opened from any process."""

    @abstractmethod
    def names(self) -> list[str]:
        """Returns all names of files that are not hidden, sorted, relative to the top, with forward slashes."""

    @abstractmethod
    def open(self, name: str) -> BufferedIOBase:
        """Opens a file for reading; the caller closes it."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Returns a text that changes when the file is replaced: its size, and its time or checksum."""


@final
class Folder(Files):
    """The files below a folder; links to folders are followed."""

    def __init__(self, *, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        found = [
            (Path(folder) / name).relative_to(self._path).as_posix()
            for folder, _, names in os.walk(self._path, followlinks=True)
            for name in names
        ]
        return sorted(name for name in found if not _is_hidden(name))

    def open(self, name: str) -> BufferedIOBase:
        return (self._path / name).open("rb")

    def stamp(self, name: str) -> str:
        try:
            status = (self._path / name).stat()
        except OSError:  # a broken link; reading the file raises an error that names it
            return "unreadable"
        return f"{status.st_size} {status.st_mtime_ns}"


@final
class Archive(Files):
    """The files in a zip, compressed or not. Each process opens the zip itself: a shared handle shares its position."""

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None
        self._opened_by = -1

    def names(self) -> list[str]:
        return sorted(name for name in self._opened().namelist() if not name.endswith("/") and not _is_hidden(name))

    def open(self, name: str) -> BufferedIOBase:
        return cast(BufferedIOBase, self._opened().open(name))

    def stamp(self, name: str) -> str:
        member = self._opened().getinfo(name)
        return f"{member.file_size} {member.CRC}"

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
        ValueError: if `path` does not exist, or is neither a folder nor a complete zip.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a folder of images or a zip")
    if path.is_dir():
        return Folder(path=path)
    if zipfile.is_zipfile(path):
        return Archive(path=path)
    raise ValueError(f"{path} is neither a folder nor a complete zip; give a folder of images or a zip")


def labels_of(files: Files, *, images: list[str]) -> ClassLabels | None:
    """Returns the class of every image, or None without classes.

    A `dataset.json` at the top of the folder or zip gives the classes, if there is one: `{"labels": [[file, class],
    ...]}` (the layout of StyleGAN2-ADA's data sets), `{"labels": {file: class}}`, or `{"labels": null}` for no classes.
    Without it, the folders at the top are the classes, in alphabetical order, if there are at least two and every image
    is in one of them.

    Args:
        files: the folder or zip.
        images: names of its images.

    Raises:
        ValueError: if `dataset.json` cannot be understood or misses an image.
    """
    try:
        file = files.open(_LABELS_FILE)
    except (FileNotFoundError, KeyError):  # from a folder; from a zip
        return _labels_from_folders(images)
    with file:
        text = file.read()
    return _labels_from_json(text, images)


def _labels_from_folders(images: list[str]) -> ClassLabels | None:
    folders = sorted({image.split("/")[0] for image in images if "/" in image})
    if len(folders) < 2 or not all("/" in image for image in images):
        return None
    class_of = {folder: number for number, folder in enumerate(folders)}
    return torch.tensor([class_of[image.split("/")[0]] for image in images])


def _labels_from_json(text: bytes, images: list[str]) -> ClassLabels | None:
    remedy = f'write {{"labels": [["file.png", 0], ...]}} or {{"labels": null}} into {_LABELS_FILE}, or remove it'
    try:
        labels = json.loads(text)["labels"]
        class_of = None if labels is None else dict(labels)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{_LABELS_FILE} cannot be understood ({error!r}); {remedy}") from error
    if class_of is None:
        return None
    missing = [image for image in images if image not in class_of]
    if missing:
        raise ValueError(f"{_LABELS_FILE} has no label for {len(missing)} images, the first is {missing[0]}; {remedy}")
    classes = [class_of[image] for image in images]
    wrong = [label for label in classes if type(label) is not int or label < 0]
    if wrong:
        raise ValueError(f"{_LABELS_FILE} has the label {wrong[0]!r}; labels are class indices 0, 1, 2, ...")
    return torch.tensor(classes)


def _is_hidden(name: str) -> bool:
    """Returns whether a file belongs to the operating system (.DS_Store, __MACOSX) and not to the data."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
