"""What `prepare` reads beside folders and zips: databases, archives, and tables of the package datasets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data import CIFAR10, ImageFolder
from lightning_gan.data.preparation import prepare
from lightning_gan.data.preparation_report import RECORD
from lightning_gan.data.preparation_sources import source_of
from lightning_gan.data.table_source import Columns
from lightning_gan.data.value_range import ValueRange
from tests.data.public_formats import (
    pixels,
    png,
    write_cifar10,
    write_cifar100,
    write_database,
    write_lsun,
    write_stl10,
)
from tests.data.test_preparation import files_in
from tests.data.test_value_ranges import DEEP, folder_of, noise, npy
from tests.data.test_value_ranges import png as deep_png


def read(path: Path, *, size: int) -> torch.Tensor:
    source = ImageFolder(path=path, image_size=size, number_of_workers=0).source
    return source.read(torch.arange(len(source)), resolution=size)


def labels_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "dataset.json").read_bytes())
    return found


def test_cifars_pixels_and_classes_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_cifar10(tmp_path / "cifar", monkeypatch)
    wanted = CIFAR10(root=root).open_source()
    # The folder around it, or the folder of the batches.
    for number, place in enumerate((root, root / "cifar-10-batches-py")):
        out = tmp_path / f"out{number}"
        prepare(str(place), str(out))
        assert torch.equal(read(out, size=32), wanted.read(torch.arange(6), resolution=32))
        # Of ten classes for six images, those without an image are left out.
        assert labels_of(out)["classes"] == ["0", "1", "2", "3", "9"]
        assert [label for _, label in labels_of(out)["labels"]] == [3, 0, 4, 1, 1, 2]
    prepare(str(root), str(tmp_path / "test"), split="test", image_size=16, labels=False)
    assert read(tmp_path / "test", size=16).shape == (1, 3, 16, 16) and labels_of(tmp_path / "test")["labels"] is None
    with pytest.raises(ValueError, match="split=val: CIFAR has train and test"):
        prepare(str(root), str(tmp_path / "val"), split="val")


def test_cifar100_and_stl10_are_recognised_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path / "c", monkeypatch)
    write_stl10(tmp_path / "s", monkeypatch)
    prepare(str(tmp_path / "c"), str(tmp_path / "cifar"))
    assert [label for _, label in labels_of(tmp_path / "cifar")["labels"]] == [1, 0]
    assert labels_of(tmp_path / "cifar")["classes"] == ["5", "99"]
    prepare(str(tmp_path / "s"), str(tmp_path / "stl"), image_size=48, split="unlabeled")
    assert read(tmp_path / "stl", size=48).shape == (2, 3, 48, 48) and labels_of(tmp_path / "stl")["labels"] is None
    prepare(str(tmp_path / "s" / "stl10_binary"), str(tmp_path / "labelled"), image_size=48)
    assert [label for _, label in labels_of(tmp_path / "labelled")["labels"]] == [0, 1]
    with pytest.raises(ValueError, match=r"split=none: STL-10 has unlabeled, train, test, train\+unlabeled"):
        prepare(str(tmp_path / "s"), str(tmp_path / "none"), split="none")


def test_an_archive_without_its_contents_is_told_to_torchvision(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not the archive")
    with pytest.raises(ValueError, match="CIFAR-10 could not be fetched"):
        source_of(str(tmp_path / "nowhere" / "cifar-10-python.tar.gz"), labels=True, split="train", columns=Columns())


def test_databases_are_classes_if_there_are_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_lsun(tmp_path / "lsun", monkeypatch)
    prepare(str(root / "bedroom_train_lmdb"), str(tmp_path / "bedrooms"), image_size=8)
    assert labels_of(tmp_path / "bedrooms")["labels"] is None
    by_key = [pixels(8, 12, 3, seed=seed)[:, 2:10] for seed in (1, 0)]  # keys are checksums, which turn the order round
    found = read(tmp_path / "bedrooms", size=8).permute(0, 2, 3, 1).numpy()
    assert sorted(image.tobytes() for image in by_key) == sorted(image.tobytes() for image in found)
    prepare(str(root), str(tmp_path / "both"), image_size=8)
    assert labels_of(tmp_path / "both")["classes"] == ["bedroom_train", "church_outdoor_train"]
    assert [label for _, label in labels_of(tmp_path / "both")["labels"]] == [0, 0, 1, 1, 1]


RANGES: list[tuple[list[bytes], int, tuple[float, float] | None]] = [
    ([deep_png(noise(8, 12, seed=seed)) for seed in range(3)], 1, DEEP),
    ([npy(noise(8, 12, 5, seed=seed).astype(np.float32)) for seed in range(3)], 5, DEEP),
    ([npy(noise(8, 12, 5, seed=seed).astype(np.uint8)) for seed in range(3)], 5, None),
    ([png(pixels(8, 12, 4, seed=seed)) for seed in range(3)], 4, None),
]
"""Files of one data set, their channels and their range: 16 bits, floats, bytes of five channels, and RGBA."""


def as_a_folder_does(source: str, files: list[bytes], channels: int, value_range: Any, tmp_path: Path) -> None:
    """Compares the images that are made of a source, byte for byte, with those of a folder of the same files."""
    folder_of(tmp_path / "files", files, suffix=".npy" if files[0].startswith(b"\x93NUMPY") else ".png")
    for image_width in (None, 12):  # resized, and as they are
        wanted, found = (
            files_in(prepared(place, tmp_path, image_width=image_width, channels=channels, value_range=value_range))
            for place in (str(tmp_path / "files"), source)
        )
        assert len(wanted) == 5 and {**wanted, RECORD: b""} == {**found, RECORD: b""}


def prepared(source: str, tmp_path: Path, *, image_width: int | None, channels: int, value_range: Any) -> Path:
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    prepare(source, str(out), image_size=8, image_width=image_width, image_channels=channels, value_range=value_range)
    return out


@pytest.mark.parametrize(("files", "channels", "value_range"), RANGES, ids=["deep", "floats", "bytes", "rgba"])
def test_databases_of_any_images_are_read_as_a_folder_of_their_files(
    files: list[bytes], channels: int, value_range: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"{number:040}".encode(): file for number, file in enumerate(files)}
    source = write_database(tmp_path / "db", contents, monkeypatch)
    as_a_folder_does(str(source), files, channels, value_range, tmp_path)


@pytest.mark.parametrize(("files", "channels", "value_range"), RANGES, ids=["deep", "floats", "bytes", "rgba"])
@pytest.mark.parametrize("kind", ["folder of datasets", "parquet"])
def test_tables_of_any_images_are_read_as_a_folder_of_their_files(
    kind: str, files: list[bytes], channels: int, value_range: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = datasets.Dataset.from_dict(
        {"image": [{"bytes": file, "path": None} for file in files]},
        features=datasets.Features({"image": datasets.Image()}),
    )
    source = str(tmp_path / "table")
    if kind == "parquet":
        (tmp_path / "table").mkdir()
        rows.to_parquet(tmp_path / "table" / "train-00000-of-00001.parquet")
        source = f"hub:{source}"
    else:
        rows.save_to_disk(source)
    as_a_folder_does(source, files, channels, value_range, tmp_path)


def test_the_bytes_of_a_public_data_set_have_a_range_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_cifar10(tmp_path / "cifar", monkeypatch)
    prepare(str(root), str(tmp_path / "out"), value_range=(0.0, 255.0))
    data = ImageFolder(path=tmp_path / "out", image_size=32, value_range=(0.0, 255.0), number_of_workers=0)
    wanted = CIFAR10(root=root).open_source().read(torch.arange(6), resolution=32).numpy()
    found = data.source.read(torch.arange(6), resolution=32).numpy()
    assert np.array_equal(found, ValueRange(low=0.0, high=255.0).scaled(wanted))


def test_a_wrong_number_of_channels_is_told_with_those_that_image_files_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_database(tmp_path / "db", {b"0": png(pixels(8, 8, 3))}, monkeypatch)
    message = r"1 of other values \(.*image_channels=5 cannot be read from image files; give 1 \(grey\), 3 \(RGB\)"
    with pytest.raises(ValueError, match=message):
        prepare(str(source), str(tmp_path / "out"), image_size=8, image_channels=5)


def test_real_lmdb_databases_are_read(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "db"), map_size=2**20) as database, database.begin(write=True) as transaction:
        for seed in range(3):
            transaction.put(f"{seed:040}".encode(), png(pixels(8, 8, 3, seed=seed)))
    prepare(str(tmp_path / "db"), str(tmp_path / "out"), image_size=8, threads=4)
    wanted = np.stack([pixels(8, 8, 3, seed=seed) for seed in range(3)])
    assert np.array_equal(read(tmp_path / "out", size=8).permute(0, 2, 3, 1).numpy(), wanted)


# ---------------------------------------------------------------------- datasets


def table(folder: Path) -> Any:
    """Four images with classes, of which one is missing, and another column of texts."""
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(pixels(8, 8, 3, seed=seed)) for seed in range(3)]
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
            "place": datasets.Value("string"),
        }
    )
    columns = {"picture": [*images, None], "kind": [1, 0, 1, 0], "place": ["park", "home", "home", "park"]}
    return datasets.Dataset.from_dict(columns, features=features)


def test_a_data_set_of_the_hub_is_loaded_by_its_name_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(name: str, *, split: str) -> Any:
        asked.append((name, split))
        return table(tmp_path)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    prepare("hub:someone/pets", str(tmp_path / "out"), image_size=8, split="validation")
    assert asked == [("someone/pets", "validation")]
    wanted = np.stack([pixels(8, 8, 3, seed=seed) for seed in range(3)])
    assert np.array_equal(read(tmp_path / "out", size=8).permute(0, 2, 3, 1).numpy(), wanted)
    assert labels_of(tmp_path / "out")["classes"] == ["cat", "dog"]
    assert [label for _, label in labels_of(tmp_path / "out")["labels"]] == [1, 0, 1]
    assert "1 broken (the first is image 3 of someone/pets, it is missing)" in capsys.readouterr().out
    prepare("hub:someone/pets", str(tmp_path / "places"), image_size=8, label_column="place")
    assert labels_of(tmp_path / "places")["classes"] == ["home", "park"]
    for settings, message in (
        ({"image_column": "photo"}, "image_column=photo: someone/pets has no such column of images; its .* picture"),
        ({"label_column": "photo"}, "label_column=photo: someone/pets has no such column of classes"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare("hub:someone/pets", str(tmp_path / "other"), image_size=8, **settings)


def test_a_folder_that_datasets_has_written_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.DatasetDict({"train": table(tmp_path)}).save_to_disk(str(tmp_path / "pets"))
    prepare(str(tmp_path / "pets"), str(tmp_path / "out"), image_size=8)
    assert read(tmp_path / "out", size=8).shape == (3, 3, 8, 8)
    with pytest.raises(ValueError, match=r"split=test: .*pets has train"):
        prepare(str(tmp_path / "pets"), str(tmp_path / "test"), image_size=8, split="test")


def test_a_data_set_that_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load_dataset(name: str, *, split: str) -> Any:
        raise RuntimeError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ValueError, match=r"hub:a/b cannot be loaded \(no\\nnetwork\); check the name, the split"):
        prepare("hub:a/b", str(tmp_path / "out"), image_size=8)
