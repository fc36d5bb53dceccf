"""What `prepare` can read: numbered image files with labels, from folders, zips, databases, archives and hubs."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, final

import torch
from PIL import Image

from lightning_gan.data.cifar import CIFAR10, CIFAR100, CIFARSplit
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource
from lightning_gan.data.lsun import Databases
from lightning_gan.data.shown import listed, shown
from lightning_gan.data.stl10 import STL10, STL10Split
from lightning_gan.tensors.shapes import Labels

_STAMPED_ROWS = 1000  # by which a table is identified; reading all of a large one takes minutes

HUB = "hub:"
"""Beginning of the name of a data set on the Hugging Face hub."""


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


class PreparationSource(ABC):
    """Image files that are numbered from 0, and their labels. Files are read from several threads at once."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Returns the name of an image, for reports."""

    @abstractmethod
    def contents(self, index: int) -> bytes:
        """Returns the bytes of an image file.

        Raises:
            ValueError: if they cannot be read.
        """

    @property
    @abstractmethod
    def labels(self) -> Labels | None:
        """The class of every image, or one row of numbers for each; None without labels."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; empty without classes, or if they are not known."""

    @property
    @abstractmethod
    def remarks(self) -> tuple[str, ...]:
        """What was left out already and is no error, for a person to read."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a text that changes if the images or their order change."""


@final
class FilesSource(PreparationSource):
    """The image files of a folder or a zip, by the rules of `ImageFolder`."""

    def __init__(self, *, path: Path, labels: bool) -> None:
        self._files = ImageFiles(path=path, image_size=1, image_channels=3, labels=labels)
        self._names = self._files.names

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return self._names[index]

    def contents(self, index: int) -> bytes:
        return self._files.contents(self._names[index])

    @property
    def labels(self) -> Labels | None:
        return self._files.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._files.origin.class_names

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._files.origin.remarks

    def fingerprint(self) -> str:
        return self._files.fingerprint()


@final
class DatabasesSource(PreparationSource):
    """The image files in lmdb databases, such as LSUN's. Several databases are classes, named as their folders."""

    def __init__(self, *, paths: list[Path], labels: bool) -> None:
        self._databases = Databases(
            paths=paths,
            image_size=1,
            labels=labels and len(paths) > 1,
            resize=Resize.center_crop,
            resampling=Resampling.box_or_lanczos,
        )

    def __len__(self) -> int:
        return len(self._databases)

    def name(self, index: int) -> str:
        return f"image {index} of {self._databases.origin.place}"

    def contents(self, index: int) -> bytes:
        return self._databases.contents(index)

    @property
    def labels(self) -> Labels | None:
        return self._databases.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._databases.origin.class_names

    @property
    def remarks(self) -> tuple[str, ...]:
        return ()

    def fingerprint(self) -> str:
        return str(dict(self._databases.origin.fingerprints))


@final
class PixelsSource(PreparationSource):
    """Images of one of the data sets of this package, whose pixels become PNG files."""

    def __init__(self, *, data: GANData, name: str, labels: bool) -> None:
        data.prepare_data()
        self._images: ImageSource = data.open_source()
        self._size = data.size_to_read
        self._name = name
        self._has_labels = labels

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        return f"image {index} of {self._name}"

    def contents(self, index: int) -> bytes:
        pixels = self._images.read(torch.tensor([index]), resolution=self._size)[0]
        return png_of(Image.fromarray(pixels.permute(1, 2, 0).numpy()))

    @property
    def labels(self) -> Labels | None:
        return self._images.labels if self._has_labels else None

    @property
    def class_names(self) -> tuple[str, ...]:
        numbers = map(str, range(self._images.number_of_classes))
        return (self._images.origin.class_names or tuple(numbers)) if self._has_labels else ()

    @property
    def remarks(self) -> tuple[str, ...]:
        return ()

    def fingerprint(self) -> str:
        return str(dict(self._images.origin.fingerprints))


@final
class TableSource(PreparationSource):
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
        self._labels, self._class_names = (None, ()) if label is None else _labels_of(table, label, name=name)
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


def source_of(source: str, *, labels: bool, split: str, columns: Columns) -> PreparationSource:
    """Returns the images at a place.

    Args:
        source: path of a folder, a zip, lmdb databases, an archive or folder of CIFAR-10, CIFAR-100 or STL-10, or a
            folder that `datasets` has written; or `hub:OWNER/NAME` for a data set on the Hugging Face hub.
        labels: whether labels are wanted.
        split: part of a data set that has parts: CIFAR, STL-10, and those of the hub.
        columns: the columns of a data set of the hub.

    Raises:
        ValueError: if there is nothing, or nothing that can be read.
    """
    if source.startswith(HUB):
        return _from_hub(source.removeprefix(HUB), labels=labels, split=split, columns=columns)
    path = Path(source).expanduser()
    if (public := _public_data(path, split=split, labels=labels)) is not None:
        return public
    if path.is_dir():
        databases = (
            [path] if (path / "data.mdb").is_file() else sorted(inner.parent for inner in path.glob("*/data.mdb"))
        )
        if databases:
            return DatabasesSource(paths=databases, labels=labels)
        if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
            return _from_disk(path, labels=labels, split=split, columns=columns)
    return FilesSource(path=path, labels=labels)


def png_of(image: Image.Image) -> bytes:
    """Returns an image as the bytes of a PNG file."""
    file = BytesIO()
    # Little compression: images of a training are read more often than they are written.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _public_data(path: Path, *, split: str, labels: bool) -> PreparationSource | None:
    """CIFAR or STL-10, if the path is that of its archive, of the folder that it was unpacked to, or around these."""
    for archive, folder, make in _PUBLIC:
        if path.name in (archive, folder):
            root = path.parent
        elif (path / archive).is_file() or (path / folder).is_dir():
            root = path
        else:
            continue
        return PixelsSource(data=make(root, split, labels), name=folder, labels=labels)
    return None


def _cifar10(root: Path, split: str, labels: bool) -> GANData:
    return CIFAR10(
        root=root, download=_is_packed(root, "cifar-10-batches-py"), split=_cifar_split(split), labels=labels
    )


def _cifar100(root: Path, split: str, labels: bool) -> GANData:
    return CIFAR100(root=root, download=_is_packed(root, "cifar-100-python"), split=_cifar_split(split), labels=labels)


def _stl10(root: Path, split: str, labels: bool) -> GANData:
    parts = {part.value: part for part in STL10Split}
    if split not in parts:
        raise ValueError(f"split={split}: STL-10 has {', '.join(parts)}")
    download = _is_packed(root, "stl10_binary")
    return STL10(
        root=root, download=download, split=parts[split], image_size=96, labels=labels and split in ("train", "test")
    )


def _cifar_split(split: str) -> CIFARSplit:
    parts = {part.value: part for part in CIFARSplit}
    if split not in parts:
        raise ValueError(f"split={split}: CIFAR has {' and '.join(parts)}")
    return parts[split]


def _is_packed(root: Path, folder: str) -> bool:
    """Whether only the archive is there, which torchvision then unpacks beside it, without a network."""
    return not (root / folder).is_dir()


_PUBLIC: Sequence[tuple[str, str, Callable[[Path, str, bool], GANData]]] = (
    ("cifar-10-python.tar.gz", "cifar-10-batches-py", _cifar10),
    ("cifar-100-python.tar.gz", "cifar-100-python", _cifar100),
    ("stl10_binary.tar.gz", "stl10_binary", _stl10),
)
"""The archives of public data sets, the folders that they are unpacked to, and what reads them."""


def _from_hub(name: str, *, labels: bool, split: str, columns: Columns) -> PreparationSource:
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


def _from_disk(path: Path, *, labels: bool, split: str, columns: Columns) -> PreparationSource:
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
        raise ValueError(f"{name} has no column of images but {listed(list(table.features))}; give another data set")
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
