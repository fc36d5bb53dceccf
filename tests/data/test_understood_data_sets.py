"""Data sets in other people's forms are understood, and what they became is said."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data import ImageFiles, ImageFolder
from tests.data.data_sets import SIZE, folder_of, image, labels, png, zip_of

CLASSES = ("cat/1.png", "cat/2.png", "dog/1.png")


def data_of(path: Path, **settings: bool) -> ImageFolder:
    return ImageFolder(path=path, image_size=SIZE, batch_size=2, number_of_workers=0, **settings)


def classes_of(path: Path) -> list[int] | None:
    found = ImageFiles(path=path, image_size=SIZE, image_channels=3).labels
    return None if found is None else found.tolist()


@pytest.mark.parametrize("make", [folder_of, zip_of])
@pytest.mark.parametrize("prefix", ["", "mydata/", "a/b/c/", "train/"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_wrapping_folders_are_looked_through_and_backslashes_are_slashes(
    tmp_path: Path, make: Callable[..., Path], prefix: str, slash: str
) -> None:
    path = make(tmp_path / "d.zip", [f"{prefix}{name}".replace("/", slash) for name in CLASSES])
    assert data_of(path).describe() == "3 images of 4x4x3 in d.zip, 2 classes from folders (cat 2, dog 1)"
    images = data_of(path).source.read(torch.arange(3), resolution=SIZE)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [folder_of, zip_of])
@pytest.mark.parametrize("prefix", ["", "mydata/"])
@pytest.mark.parametrize("written", ["{}", "./{}", ".\\{}", "x//{}", "mydata/x/{}"])
def test_a_file_of_labels_lies_in_the_wrapping_folder(
    tmp_path: Path, make: Callable[..., Path], prefix: str, written: str
) -> None:
    inside = "x/" if "x" in written else ""
    if "mydata" in written and not prefix:
        pytest.skip("there is no wrapping folder")
    rows = [[written.format("a.png"), 1], [written.format("b.png"), 0]]
    others = {f"{prefix}dataset.json": json.dumps({"labels": rows}).encode()}
    path = make(tmp_path / "d.zip", [f"{prefix}{inside}a.png", f"{prefix}{inside}b.png"], others=others)
    assert classes_of(path) == [1, 0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_recognized(tmp_path: Path, encoding: str) -> None:
    text = json.dumps({"labels": {"ä.png": 0, "b.png": 1}}, ensure_ascii=False).encode(encoding)
    assert classes_of(folder_of(tmp_path / "d", ["ä.png", "b.png"], others={"dataset.json": text})) == [1, 0]


@pytest.mark.parametrize(("in_file", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_names_that_look_the_same_are_the_same(tmp_path: Path, in_file: str, on_disk: str) -> None:
    names = [unicodedata.normalize(on_disk, "é.png"), "z.png"]
    rows = [[unicodedata.normalize(in_file, "é.png"), 1], ["z.png", 0]]
    path = folder_of(tmp_path / "d", names, others=labels(rows))
    found = ImageFiles(path=path, image_size=SIZE, image_channels=3)
    assert found.labels is not None
    assert dict(zip(found.names, found.labels.tolist(), strict=True)) == {names[0]: 1, "z.png": 0}


@pytest.mark.parametrize(
    ("rows", "expected", "told"),
    [
        ([["a.png", 1], ["b.png", 0]], [1, 0], "2 classes from dataset.json (0 1, 1 1)"),
        ([["a.png", "dog"], ["b.png", "cat"]], [1, 0], "2 classes from dataset.json (cat 1, dog 1)"),
        ([["a.png", [0, 1]], ["b.png", [1, 0]]], [1, 0], "2 classes from dataset.json (0 1, 1 1)"),
        ([["a.png", [0.0, 1.0]], ["b.png", [1, 0]]], [1, 0], "2 classes from dataset.json (0 1, 1 1)"),
        (
            [["a.png", [0, 1]], ["b.png", [1, 1]]],
            [[0, 1], [1, 1]],
            "rows of 2 numbers as labels from dataset.json (samples are drawn of one class each)",
        ),
        (
            [["a.png", [0.5]], ["b.png", [-3]]],
            [[0.5], [-3]],
            "rows of 1 numbers as labels from dataset.json (samples are drawn of one class each)",
        ),
        (None, None, "no labels by dataset.json"),
    ],
)
def test_labels_of_every_kind_are_read(tmp_path: Path, rows: object, expected: object, told: str) -> None:
    path = folder_of(tmp_path / "d", ["a.png", "b.png"], others=labels(rows))
    assert classes_of(path) == expected
    assert data_of(path).describe() == f"2 images of 4x4x3 in d, {told}"


def test_declared_classes_may_have_no_image(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    rows = [[name, 1] for name in names]
    path = folder_of(tmp_path / "d", names, others=labels(rows, classes=3))
    assert data_of(path).number_of_classes == 3
    assert data_of(path).describe().endswith("3 classes from dataset.json (0 0, 1 4, 2 0); no images of class 0, 2")
    (path / "dataset.json").write_bytes(labels(rows, classes=["cat", "dog"])["dataset.json"])
    assert data_of(path).describe().endswith("2 classes from dataset.json (cat 0, dog 4); no images of class cat")
    (path / "dataset.json").write_bytes(labels([[name, "dog"] for name in names], classes=["x", "dog"])["dataset.json"])
    assert classes_of(path) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "names",
    [
        ("00000/1.png", "01000/1.png"),
        ("00000/00000.png", "00000/00999.png", "01000/01000.png"),
        ("00000/img00000000.png", "00000/img00000999.png", "00001/img00001000.png", "00002/img00002001.png"),
        ("0000/0.png", "0500/500.png", "1000/1000.png"),
    ],
)
def test_folders_that_count_images_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = folder_of(tmp_path / "d", names)
    assert classes_of(path) is None
    assert "no classes (folders of numbers are parts of one folder)" in data_of(path).describe()


@pytest.mark.parametrize(
    "names", [("0/1.png", "1/1.png"), ("000/1.png", "001/1.png"), ("n00001/1.png", "n00002/1.png")]
)
def test_short_numbers_and_names_with_letters_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert classes_of(folder_of(tmp_path / "d", names)) == [0, 1]


@pytest.mark.parametrize("names", [("tractor/1.png", "train/2.png"), ("test tube/1.png", "train of mules/2.png")])
def test_a_class_may_be_called_train(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert classes_of(folder_of(tmp_path / "d", names)) == [0, 1]


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.tif", "TIFF"), ("a.TIFF", "TIFF"), ("a.jfif", "JPEG"), ("a.gif", "GIF"), ("a.png", "JPEG"), ("a.jpg", "WEBP")],
)
def test_images_are_read_by_their_contents(tmp_path: Path, name: str, form: str) -> None:
    path = folder_of(tmp_path / "d", (), others={name: image(200, form=form)})
    pixels = data_of(path).source.read(torch.arange(1), resolution=SIZE)
    assert (pixels.float() - 200).abs().max() <= 2


def test_of_animations_the_first_image_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((SIZE, SIZE), 60 * number, dtype=np.uint8)) for number in range(1, 4)]
    folder = folder_of(tmp_path / "d", ())
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "b.tif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "c.png", save_all=True, append_images=frames[1:])
    assert data_of(folder).source.read(torch.arange(3), resolution=SIZE).unique().tolist() == [60]


@pytest.mark.parametrize("mode", ["uint16", "float32", "rgb16"])
def test_more_than_eight_bits_are_refused_in_tiff_and_png(tmp_path: Path, mode: str) -> None:
    folder = folder_of(tmp_path / "d", ())
    if mode == "rgb16":
        row = b"\0" + b"\x9c\x40" * 3 * SIZE
        (folder / "a.png").write_bytes(png(SIZE, SIZE, bits=16, colour=2, rows=row * SIZE))
    else:
        Image.fromarray(np.full((SIZE, SIZE), 40_000, dtype=mode)).save(folder / "a.tif")
    with pytest.raises(ValueError, match="more than 8 bits; convert it"):
        ImageFiles(path=folder, image_size=SIZE, image_channels=3).check()


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    others = {"a.txt": b"1", "b.TXT": b"2", "cat/c.heic": b"3", "LICENSE": b"4", "cat/.d.png": b"5", ".git/x": b"6"}
    path = folder_of(tmp_path / "d", CLASSES, others=others)
    (path / "bird").mkdir()
    (path / "cat" / "empty").mkdir()
    assert data_of(path).describe() == (
        "3 images of 4x4x3 in d, 2 classes from folders (cat 2, dog 1); left out 2 .txt, 1 without an ending, 1 .heic; "
        "hidden images were left out: cat/.d.png; no images in bird"
    )
    assert "labels are not used" in data_of(path, labels=False).describe()


def test_equal_files_in_a_zip_are_counted(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "d.zip", ("a.png",), others={"b.png": image(0), "c.png": image(0)})
    assert data_of(path).describe().endswith("no classes; 2 images are equal to another one")


def test_every_folder_is_listed_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    outside = folder_of(tmp_path / "outside", ("o.png",))
    path = folder_of(tmp_path / "d", ("a/1.png", "b/2.png"))
    (path / "a" / "loop").symlink_to("..")
    (path / "b" / "other").symlink_to("../a")
    (path / "b" / "linked").symlink_to(outside)
    (path / "b" / "second").symlink_to(outside)
    (path / "b" / "up").symlink_to(tmp_path)
    found = ImageFiles(path=path, image_size=SIZE, image_channels=3)
    assert found.names == ["a/1.png", "b/2.png", "b/linked/o.png"]
    assert (
        "links to folders that are listed already were left out: a/loop, b/other, b/second" in data_of(path).describe()
    )


def test_links_to_files_that_are_listed_are_told(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", ("a.png",))
    (path / "b.png").symlink_to("a.png")
    os.link(path / "a.png", path / "c.png")
    assert "files under a second name: b.png, c.png" in data_of(path).describe()


def test_many_classes_are_abbreviated(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", [f"c{number:02}/{copy}.png" for number in range(12) for copy in range(number + 1)])
    told = data_of(path).describe()
    assert "12 classes from folders (c00 1, c01 2, " in told and "c09 10, ...; 1 to 12 images each)" in told
    assert "c10" not in told


def test_a_batch_that_is_larger_than_the_data_goes_on_with_the_next_epoch_and_says_so(tmp_path: Path) -> None:
    data = ImageFolder(path=folder_of(tmp_path / "d", CLASSES), image_size=SIZE, batch_size=7, number_of_workers=0)
    assert data.describe().endswith("; a batch of 7 shows images more than once")
    images, _ = next(iter(data.train_dataloader()))
    shown = images[:, 0, 0, 0].tolist()
    assert sorted(shown[:3]) == sorted(shown[3:6]) == [0, 1, 2]
