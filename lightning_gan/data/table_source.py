"""Images in tables of the package `datasets`: from the Hugging Face hub, and from folders that it has written."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, final

import torch

from lightning_gan.data.numbered_files import NumberedFiles
from lightning_gan.data.shown import listed, shown
from lightning_gan.tensors.shapes import Labels

HUB = "hub:"
"""Beginning of the name of a data set on the Hugging Face hub."""

_STAMPED_ROWS = 1000  # by which a table is identified; reading all of a large one takes minutes


@final
@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table of images.

    Args:
        image: name of the column of images; None takes the only one.
        label: name of the column of labels; None takes the only one with classes, if there is one.
    """

    image: str | None = None
    label: str | None = None


@final
class TableSource(NumberedFiles):
    """Images in a table of the package `datasets`, from the Hugging Face hub or from a folder that it has written.

    Args:
        table: an object of `datasets.Dataset`.
        name: name of the data set, for messages.
        columns: the columns of images and labels.
        labels: whether labels are wanted.

    Raises:
        ValueError: if it is not clear which columns are meant, or a column has no images or no classes.
    """

    def __init__(self, *, table: Any, name: str, columns: Columns, labels: bool) -> None:
        datasets = import_module("datasets")
        self._name = name
        image = _column(table, columns.image, kinds=(datasets.Image,), what="images", option="image_column", name=name)
        assert image is not None
        label = None
        if labels:
            kinds = (datasets.ClassLabel, datasets.Value)
            # A column of numbers may be anything: without a name only one with named classes is taken.
            wanted = kinds if columns.label is not None else kinds[:1]
            label = _column(table, columns.label, kinds=wanted, what="classes", option="label_column", name=name)
        self._labels: Labels | None = None
        self._class_names: tuple[str, ...] = ()
        if label is not None:
            self._labels, self._class_names = _labels_of(table, label, name=name)
        # As bytes, so that they are decoded like files, with orientation, transparency and checks.
        self._table = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        self._image = image

    def __len__(self) -> int:
        return len(self._table)

    def name(self, index: int) -> str:
        return f"image {index} of {self._name}"

    def contents(self, index: int) -> bytes:
        found = self._table[index][self._image]
        if not isinstance(found, dict):
            raise ValueError(f"{self.name(index)}: it is missing")
        if found["bytes"] is not None:
            contents: bytes = found["bytes"]
            return contents
        try:
            return Path(found["path"]).read_bytes()
        except OSError as error:
            raise ValueError(f"{self.name(index)}: {error.strerror}") from error

    @property
    def labels(self) -> Labels | None:
        return self._labels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._class_names

    @property
    def remarks(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def _stamp(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        every = max(len(self) // _STAMPED_ROWS, 1)
        for row in self._table.select(range(0, len(self), every)):
            found = row[self._image] or {}
            digest.update(str(found.get("path")).encode())
            digest.update(str(len(found.get("bytes") or b"")).encode())
        return f"{self._name} {len(self)} {digest.hexdigest()}"

    def fingerprint(self) -> str:
        return self._stamp


def from_hub(name: str, *, labels: bool, split: str, columns: Columns) -> NumberedFiles:
    """Returns a data set of the Hugging Face hub, which is downloaded to the cache of `datasets`.

    Args:
        name: name of the data set, such as `uoft-cs/cifar10`.
        labels: whether labels are wanted.
        split: part of the data set.
        columns: the columns of images and labels.

    Raises:
        ValueError: if it cannot be loaded, or it is not clear which columns are meant.
    """
    datasets = import_module("datasets")
    try:
        table = datasets.load_dataset(name, split=split)
    # The library raises nearly any error: of its own, of the network, of file formats.
    except Exception as error:
        raise ValueError(
            f"{HUB}{shown(name)} cannot be loaded ({shown(error)}); check the name, the split ({shown(split)}) and the "
            "network"
        ) from error
    return TableSource(table=table, name=shown(name), columns=columns, labels=labels)


def from_disk(path: Path, *, labels: bool, split: str, columns: Columns) -> NumberedFiles:
    """Returns a data set that `datasets` has written to a folder (`save_to_disk`).

    Args:
        path: path of the folder.
        labels: whether labels are wanted.
        split: part of the data set, if it has parts.
        columns: the columns of images and labels.

    Raises:
        ValueError: if it cannot be read, has no such part, or it is not clear which columns are meant.
    """
    datasets = import_module("datasets")
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:
        raise ValueError(f"{shown(path)} cannot be read by datasets ({shown(error)}); write it again") from error
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise ValueError(f"split={split}: {shown(path)} has {', '.join(map(shown, found))}")
        found = found[split]
    return TableSource(table=found, name=shown(path.name), columns=columns, labels=labels)


def _column(table: Any, wanted: str | None, *, kinds: tuple[Any, ...], what: str, option: str, name: str) -> str | None:
    """The name of a column: the wanted one, or the only one of a kind; None if there is no column of classes."""
    possible = [column for column, kind in table.features.items() if isinstance(kind, kinds)]
    if wanted is not None:
        if wanted not in possible:
            has = f"its columns of {what} are {listed(possible)}" if possible else f"it has no column of {what}"
            raise ValueError(f"{option}={wanted}: {name} has no such column of {what}; {has}")
        return wanted
    if len(possible) > 1:
        raise ValueError(f"{name} has several columns of {what}, {listed(possible)}; give {option}")
    if not possible and what == "images":
        raise ValueError(
            f"{name} has no column of images but {listed(list(table.features))}; give another data set, or a folder of "
            "its images as files (.npy for arrays)"
        )
    return possible[0] if possible else None


def _labels_of(table: Any, column: str, *, name: str) -> tuple[Labels, tuple[str, ...]]:
    datasets = import_module("datasets")
    values = list(table.select_columns([column])[column])
    feature = table.features[column]
    if isinstance(feature, datasets.ClassLabel):
        names = tuple(feature.names)
        missing = [index for index, value in enumerate(values) if value is None or not 0 <= value < len(names)]
        if missing:
            raise ValueError(f"{name} has no class for image {missing[0]}; give another split, or labels: false")
        return torch.tensor(values), names
    if any(value is None for value in values):
        raise ValueError(f"{name} has no value of {column} for image {values.index(None)}; give labels: false")
    names = tuple(sorted(set(map(str, values))))
    number_of = {text: number for number, text in enumerate(names)}
    return torch.tensor([number_of[str(value)] for value in values]), names
