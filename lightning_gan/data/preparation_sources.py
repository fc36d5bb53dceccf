"""What `prepare` can read: numbered image files with labels, from folders, zips, databases, archives and hubs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

import torch
from PIL import Image

from lightning_gan.data.cifar import CIFAR10, CIFAR100, CIFARSplit
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource
from lightning_gan.data.lsun import Databases
from lightning_gan.data.numbered_files import NumberedFiles, png_of
from lightning_gan.data.stl10 import STL10, STL10Split
from lightning_gan.data.table_source import HUB, Columns, from_disk, from_hub
from lightning_gan.tensors.shapes import Labels


@final
class FilesSource(NumberedFiles):
    """The image files of a folder or a zip, or arrays, by the rules of `ImageFolder`."""

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
class DatabasesSource(NumberedFiles):
    """The image files in lmdb databases, such as LSUN's. Several databases are classes, named as their folders."""

    def __init__(self, *, paths: list[Path], labels: bool) -> None:
        self._databases = Databases(
            paths=paths,
            image_size=1,
            labels=labels and len(paths) > 1,
            resize=Resize.center_crop,
            resampling=Resampling.box_or_lanczos,
        )
        self._databases.contents(0)  # opens them before threads do, of which a second one may not

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
class PixelsSource(NumberedFiles):
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


def source_of(source: str, *, labels: bool, split: str, columns: Columns) -> NumberedFiles:
    """Returns the images at a place.

    Args:
        source: path of a folder, a zip, lmdb databases, an archive or folder of CIFAR-10, CIFAR-100 or STL-10, or a
            folder that `datasets` has written; or `hub:OWNER/NAME` for a data set on the Hugging Face hub, and
            `hub:FOLDER` for a folder of its parquet files.
        labels: whether labels are wanted.
        split: part of a data set that has parts: CIFAR, STL-10, and those of the hub.
        columns: the columns of a data set of the hub.

    Raises:
        ValueError: if there is nothing, or nothing that can be read.
    """
    if source.startswith(HUB):
        return from_hub(source.removeprefix(HUB), labels=labels, split=split, columns=columns)
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
            return from_disk(path, labels=labels, split=split, columns=columns)
    return FilesSource(path=path, labels=labels)


def _public_data(path: Path, *, split: str, labels: bool) -> NumberedFiles | None:
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
