"""Public data sets in their own formats on the disk, made small, for tests that read them.

Only checksums are not theirs: torchvision is told those of the small files.
"""

import hashlib
import pickle
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_gan.data.celeba import ATTRIBUTES

torchvision_datasets = pytest.importorskip("torchvision.datasets")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, contents: bytes) -> str:
    """Writes a file; gives its checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return hashlib.md5(contents).hexdigest()


def png(array: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def write_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training files of three images each, and a test file with one; torchvision is told their checksums."""
    folder = root / "cifar-10-batches-py"
    batches = {"data_batch_1": [3, 0, 9], "data_batch_2": [1, 1, 2], "test_batch": [7]}
    checksums = {}
    for seed, (name, labels) in enumerate(batches.items()):
        entry = {"data": pixels(len(labels), 3072, seed=seed), "labels": labels}
        checksums[name] = write(folder / name, pickle.dumps(entry))
    meta = write(folder / "batches.meta", pickle.dumps({"label_names": [str(number) for number in range(10)]}))
    described = torchvision_datasets.CIFAR10
    monkeypatch.setattr(described, "train_list", [[name, checksums[name]] for name in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(described, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(described, "meta", {**described.meta, "md5": meta})
    return root


def write_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training images and one for tests, with coarse and fine classes."""
    folder = root / "cifar-100-python"
    described = torchvision_datasets.CIFAR100
    for name, fine in {"train": [99, 5], "test": [42]}.items():
        entry = {"data": pixels(len(fine), 3072), "fine_labels": fine, "coarse_labels": [0] * len(fine)}
        monkeypatch.setattr(described, f"{name}_list", [[name, write(folder / name, pickle.dumps(entry))]])
    meta = write(folder / "meta", pickle.dumps({"fine_label_names": [str(number) for number in range(100)]}))
    monkeypatch.setattr(described, "meta", {**described.meta, "md5": meta})
    return root


def write_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images of each split in STL-10's binary layout: columns first, classes from 1."""
    folder, described = root / "stl10_binary", torchvision_datasets.STL10
    images = [
        [f"{name}_X.bin", write(folder / f"{name}_X.bin", pixels(2, 3, 96, 96, seed=seed).tobytes())]
        for seed, name in enumerate(("train", "unlabeled", "test"))
    ]
    classes = [
        [f"{name}_y.bin", write(folder / f"{name}_y.bin", bytes(numbers))]
        for name, numbers in {"train": (1, 10), "test": (4, 2)}.items()
    ]
    monkeypatch.setattr(described, "train_list", [images[0], classes[0], images[1]])
    monkeypatch.setattr(described, "test_list", [images[2], classes[1]])
    return root


def face(number: int) -> np.ndarray:
    """Red is the column, green the row, blue the number."""
    rows, columns = np.mgrid[:218, :178]
    return np.stack([columns, rows, np.full_like(rows, number)], axis=-1).astype(np.uint8)


def write_celeba(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six faces whose pixels tell their place, two of each split; only the checksums of the annotations are new."""
    folder = root / "celeba"
    names = [f"{number:06}.png" for number in range(1, 7)]  # lossless in place of JPEG, which no name decides
    for number, name in enumerate(names):
        path = folder / "img_align_celeba" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face(number)).save(path)
    smiles = [[1 if (attribute == "Smiling") == (row == 1) else -1 for attribute in ATTRIBUTES] for row in range(6)]

    def table(header: str, rows: list[list[int]]) -> str:
        lines = [" ".join([name, *map(str, row)]) for name, row in zip(names, rows, strict=True)]
        return header + "\n".join(lines) + "\n"

    texts = {
        "list_eval_partition.txt": table("", [[0], [1], [2]] * 2),
        "identity_CelebA.txt": table("", [[1], [2], [3]] * 2),
        "list_bbox_celeba.txt": table("3\nimage_id x_1 y_1 width height\n", [[0] * 4] * 6),
        "list_landmarks_align_celeba.txt": table(
            "3\n" + " ".join(f"mark_{number}" for number in range(10)) + "\n", [[0] * 10] * 6
        ),
        "list_attr_celeba.txt": table("3\n" + " ".join(ATTRIBUTES) + "\n", smiles),
    }
    checksums = {name: write(folder / name, text.encode()) for name, text in texts.items()}
    described = torchvision_datasets.CelebA
    monkeypatch.setattr(
        described, "file_list", [(file, checksums.get(name, md5), name) for file, md5, name in described.file_list]
    )
    return root


class FakeDatabase:
    """What lmdb gives of a database, from a pickled dictionary."""

    def __init__(self, path: str) -> None:
        self._contents: dict[bytes, bytes] = pickle.loads((Path(path) / "data.mdb").read_bytes())

    def begin(self, *, write: bool) -> "FakeDatabase":
        assert not write
        return self

    def __enter__(self) -> "FakeDatabase":
        return self

    def __exit__(self, *reason: object) -> None: ...

    def cursor(self) -> "FakeDatabase":
        return self

    def iternext(self, *, keys: bool, values: bool) -> Iterator[bytes]:
        assert keys and not values
        return iter(sorted(self._contents))

    def get(self, key: bytes) -> bytes | None:
        return self._contents.get(key)

    def close(self) -> None: ...

    def __reduce__(self) -> Any:
        raise TypeError("a database cannot be pickled")


def write_database(path: Path, contents: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of files by their keys, read by a stand-in for lmdb."""
    library = ModuleType("lmdb")

    def opened(path: str, *, readonly: bool, lock: bool, readahead: bool, meminit: bool) -> FakeDatabase:
        assert readonly and not lock
        return FakeDatabase(path)

    monkeypatch.setattr(library, "open", opened, raising=False)
    monkeypatch.setattr(library, "Error", OSError, raising=False)
    monkeypatch.setitem(sys.modules, "lmdb", library)
    write(path / "data.mdb", pickle.dumps(contents))
    return path


def write_lsun(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bedrooms and three churches of 12x8 pixels, read by a stand-in for lmdb."""
    for name, seeds in {"bedroom_train": (0, 1), "church_outdoor_train": (2, 3, 4)}.items():
        contents = {
            hashlib.sha1(bytes([9 - seed])).hexdigest().encode(): png(pixels(8, 12, 3, seed=seed)) for seed in seeds
        }
        write_database(root / f"{name}_lmdb", contents, monkeypatch)
    return root


def write_imagenet(root: Path, *, classes: int = 1000) -> Path:
    """One grey 4x6 image of each class, as bright as the class's number modulo 256; two of the first class."""
    for number in range(classes):
        folder = root / "train" / f"n{number:08}"
        folder.mkdir(parents=True)
        (folder / "one.PNG").write_bytes(png(np.full((4, 6, 3), number % 256, dtype=np.uint8)))
    (root / "train" / "n00000000" / "two.PNG").write_bytes(png(pixels(4, 6, 3)))
    return root
