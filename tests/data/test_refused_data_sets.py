"""Data sets that are unclear, broken or an attack are refused before training, in one line that names the fault."""

import os
import re
import socket
import struct
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_gan.data import ImageFiles
from tests.data.data_sets import SIZE, folder_of, image, labels, png, with_entry_changed, zip_of

TWO = ("a.png", "b.png")
EIGHT = tuple(f"{number}.png" for number in range(8))


def opened(path: Path, *, use_labels: bool = True) -> ImageFiles:
    return ImageFiles(path=path, image_size=SIZE, image_channels=3, labels=use_labels)


def refusal(path: Path, *, use_labels: bool = True) -> str:
    with pytest.raises(ValueError) as caught:
        opened(path, use_labels=use_labels).check()
    return str(caught.value)


LABELS: dict[str, tuple[object, str]] = {
    "two from 1": (
        [["a.png", 1], ["b.png", 2]],
        r"label 2, more classes than the 2 images; number the classes 0, 1, 2",
    ),
    "more classes than images": ([["a.png", 0], ["b.png", 2]], r"label 2, more classes than the 2 images"),
    "identifiers": ([["a.png", 7], ["b.png", 1_000_000]], r'label 1000000, .*names such as "id1000000"'),
    "2^40": ([["a.png", 0], ["b.png", 2**40]], r"label 1099511627776, more classes"),
    "negative": ([["a.png", 0], ["b.png", -1]], r"label -1 for b\.png; write class indices"),
    "booleans": ([["a.png", False], ["b.png", True]], r"label false for a\.png; write class indices 0, 1, 2"),
    "floats": ([["a.png", 0.0], ["b.png", 1.0]], r"label 0\.0 for a\.png; write class indices"),
    "null": ([["a.png", 0], ["b.png", None]], r"label null for b\.png"),
    "two kinds": ([["a.png", 0], ["b.png", "cat"]], r'label "cat" for b\.png; .*same kind'),
    "index and row": ([["a.png", 0], ["b.png", [0, 1]]], r"label \[0, 1\] for b\.png"),
    "numbers as text": ([["a.png", "0"], ["b.png", "10"]], r'label "0", a number in quotation marks'),
    "rows of two lengths": ([["a.png", [0, 1]], ["b.png", [1]]], r"label \[1\] for b\.png; a list holds as many"),
    "empty rows": ([["a.png", []], ["b.png", []]], r"label \[\] for a\.png; .*at least one"),
    "rows of text": ([["a.png", ["x"]], ["b.png", ["y"]]], r'label \["x"\] for a\.png'),
    "rows of booleans": ([["a.png", [True]], ["b.png", [False]]], r"label \[true\] for a\.png"),
    "huge numbers": ([["a.png", [10**400]], ["b.png", [0.5]]], r"too large a number in the label of a\.png"),
    "twice, equal": ([["a.png", 0], ["b.png", 1], ["a.png", 0]], r"several labels for a\.png \(0 and 0\); leave one"),
    "twice, different": ([["a.png", 0], ["b.png", 1], ["./a.png", 1]], r"several labels for \./a\.png \(0 and 1\)"),
    "missing": ([["a.png", 0]], r"no label for 1 images, the first is b\.png"),
    "none at all": ([], r"no label for 2 images"),
    "absolute": ([["/a.png", 0], ["b.png", 1]], r"name /a\.png leads out of the data set"),
    "a drive": ([["C:\\a.png", 0], ["b.png", 1]], r"name C:\\a\.png leads out"),
    "parent": ([["../a.png", 0], ["b.png", 1]], r"name \.\./a\.png leads out"),
    "rows of three": ([["a.png", 0, 1]], r"cannot be understood at \[\"a\.png\", 0, 1\]"),
    "no rows": ("a.png", r"cannot be understood at \"a\.png\""),
    "a number": (3, r"cannot be understood at 3"),
}


@pytest.mark.parametrize("make", [folder_of, zip_of])
@pytest.mark.parametrize("case", LABELS)
def test_labels_that_are_unclear_are_refused(tmp_path: Path, case: str, make: Callable[..., Path]) -> None:
    rows, message = LABELS[case]
    found = refusal(make(tmp_path / "d.zip", TWO, others=labels(rows)))
    assert re.search(message, found) and "\n" not in found


@pytest.mark.parametrize(("first", "second", "empty"), [(1, 2, "0"), (0, 2, "1"), (2, 4, "0, 1, 3")])
def test_classes_without_images_are_refused_and_the_remedy_works(
    tmp_path: Path, first: int, second: int, empty: str
) -> None:
    rows = [[name, first if name < "4" else second] for name in EIGHT]
    path = folder_of(tmp_path / "d", EIGHT, others=labels(rows))
    expected = f'labels up to {second} and no image of class {empty}; number .* "classes": {second + 1} beside'
    assert re.search(expected, refusal(path))
    (path / "dataset.json").write_bytes(labels(rows, classes=second + 1)["dataset.json"])
    assert opened(path).number_of_classes == second + 1


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (1, r'label 1, and "classes" has 1'),
        (3, r'"classes": 3; give the number of classes'),
        (["x"], r'label 1, and "classes" has 1'),
        (["x", "x"], r'"classes": \["x", "x"\]; give'),
        ("x", r'"classes": "x"; give'),
        (True, r'"classes": true; give'),
        (2**60, r'"classes": 1152921504606846976; give'),
    ],
)
def test_declared_classes_that_do_not_fit_are_refused(tmp_path: Path, classes: object, message: str) -> None:
    others = labels([["a.png", 0], ["b.png", 1]], classes=classes)
    assert re.search(message, refusal(folder_of(tmp_path / "d", TWO, others=others)))


TEXTS: dict[str, tuple[bytes, str]] = {
    "half": (b"{", r"cannot be understood \(Expecting"),
    "without labels": (b'{"images": []}', r'cannot be understood \(it has no "labels"\)'),
    "a list": (b'[["a.png", 0]]', r'it has no "labels"'),
    "a comma": (b'{"labels": [["a.png", 0],]}', r"cannot be understood"),
    "Latin-1": ('{"labels": {"é.png": 0}}'.encode("latin-1"), r"cannot be understood"),
    "binary": (bytes(range(256)), r"cannot be understood"),
    "empty": (b"", r"cannot be understood"),
    "nested": (b'{"labels": ' + b"[" * 100_000, r"nested too deeply"),
    "NaN": (b'{"labels": {"a.png": [NaN], "b.png": [0.5]}}', r"NaN is no number"),
    "Infinity": (b'{"labels": {"a.png": [Infinity], "b.png": [0.5]}}', r"Infinity is no number"),
    "a key twice": (b'{"labels": {"a.png": 0, "b.png": 1, "a.png": 1}}', r"a\.png stands in it twice"),
    "endless digits": (b'{"labels": {"a.png": ' + b"9" * 5000 + b', "b.png": 0}}', r"cannot be understood"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_texts_that_are_no_labels_are_refused_with_the_remedy(tmp_path: Path, case: str) -> None:
    text, message = TEXTS[case]
    found = refusal(folder_of(tmp_path / "d", TWO, others={"dataset.json": text}))
    assert re.search(f"dataset.json .*{message}", found) and "\n" not in found
    assert 'write {"labels": [["file.png", 0], ...]} or {"labels": null} into dataset.json, or remove it' in found


STRUCTURES: dict[str, tuple[tuple[str, ...], str]] = {
    "train and val": (("train/a/1.png", "val/a/1.png"), r"train lies beside val: which images are meant\?"),
    "Training and test": (("Training/1.png", "test/1.png"), r"Training lies beside test"),
    "all three": (("train/1.png", "dev/1.png", "test/1.png"), r"train lies beside dev, test"),
    "wrapped": (("x/train2017/1.png", "x/val2017/1.png"), r"x/train2017 lies beside x/val2017: .* \.\.\./x/train2017"),
    "splits in classes": (("cat/train/1.png", "cat/valid/2.png", "dog/3.png"), r"cat/train lies beside cat/valid"),
    "the names of DIV2K": (("DIV2K_train_HR/1.png", "DIV2K_valid_HR/2.png"), r"DIV2K_train_HR lies beside"),
    "domains": (("trainA/1.png", "testA/1.png"), r"trainA lies beside testA"),
    "a stray image": (("cat/1.png", "dog/1.png", "x.png"), r"x\.png lies beside the folders cat, dog, .*move it"),
    "numbers": (("0000/1.png", "0001/1.png"), r"folders 0000, 0001 may be classes, .*--data\.labels=false.*class_0000"),
    "years": (("1999/1.png", "2001/2.png"), r"folders 1999, 2001 may be classes"),
}


@pytest.mark.parametrize("case", STRUCTURES)
@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_folders_that_are_unclear_are_refused(tmp_path: Path, case: str, make: Callable[..., Path]) -> None:
    names, message = STRUCTURES[case]
    found = refusal(make(tmp_path / "d.zip", names))
    assert re.search(message, found) and "\n" not in found


@pytest.mark.parametrize("case", ["a stray image", "numbers", "years"])
def test_without_labels_the_question_of_classes_is_not_asked(tmp_path: Path, case: str) -> None:
    assert opened(folder_of(tmp_path / "d", STRUCTURES[case][0]), use_labels=False).labels is None


@pytest.mark.parametrize("case", ["train and val", "wrapped", "a stray image", "numbers"])
def test_the_remedy_of_a_file_without_labels_works(tmp_path: Path, case: str) -> None:
    path = folder_of(tmp_path / "d", STRUCTURES[case][0], others={"dataset.json": b'{"labels": null}'})
    assert len(opened(path)) == len(STRUCTURES[case][0])


def test_a_file_of_labels_that_is_not_for_all_images_is_refused(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", ["a/1.png", "b/2.png"], others={"a/dataset.json": b'{"labels": null}'})
    assert "a/dataset.json lies in another folder than some of the images; move it to the top" in refusal(path)


ZIPS: dict[str, tuple[tuple[str, ...], str]] = {
    "one name twice": (("a.png", "b.png", "a.png"), r"holds a\.png twice; remove or rename"),
    "one name twice with a backslash": (("x/a.png", "x\\a.png"), r"holds x/a\.png twice"),
    "an absolute name": (("/a.png", "b.png"), r"name /a\.png leads out"),
    "a drive": (("C:\\a.png", "b.png"), r"name C:\\a\.png leads out"),
    "the parent": (("x/../../a.png",), r"leads out of the data set"),
    "the parent with backslashes": (("..\\a.png",), r"leads out of the data set"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_names_in_zips_that_lead_out_or_are_repeated_are_refused(tmp_path: Path, case: str) -> None:
    names, message = ZIPS[case]
    found = refusal(zip_of(tmp_path / "d.zip", names))
    assert re.search(message, found) and "\n" not in found


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (8, b"\x01\x00", r"a\.png is encrypted; unpack the zip"),
        (10, b"\x09\x00", r"a\.png is compressed by method 9, which is not read"),
        (24, struct.pack("<I", 2**31), r"a\.png would have 2,147,483,648 bytes .*1 GiB; remove it"),
        (24, struct.pack("<I", 2**29), r"a\.png would grow from [\d,]+ to 536,870,912 bytes .*remove it"),
    ],
)
def test_zips_are_refused_by_the_entries_of_their_files(
    tmp_path: Path, offset: int, value: bytes, message: str
) -> None:
    path = with_entry_changed(zip_of(tmp_path / "d.zip", TWO), "a.png", offset=offset, value=value)
    found = refusal(path)
    assert re.search(message, found) and "\n" not in found


def test_other_archives_and_single_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d", TWO)
    for mode, suffix, kind in (("w:gz", "tar.gz", "gzip"), ("w:bz2", "tar.bz2", "bzip2"), ("w", "tar", "tar")):
        with tarfile.open(tmp_path / f"d.{suffix}", mode) as archive:
            archive.add(folder)
        assert f"is a {kind} archive, which is not read; unpack it" in refusal(tmp_path / f"d.{suffix}")
    for beginning, kind in ((b"Rar!\x1a\x07", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7z")):
        (tmp_path / "d.bin").write_bytes(beginning + b"\0" * 100)
        assert f"is a {kind} archive" in refusal(tmp_path / "d.bin")
    assert "a.png is a single file; give the folder that holds it" in refusal(folder / "a.png")


def test_paths_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    assert "cannot be read (" in refusal(tmp_path / ("x" * 5000))
    assert "cannot be read (" in refusal(Path("a\0b"))
    assert "does not exist" in refusal(folder_of(tmp_path / "d", TWO) / "a.png" / "b")


def test_pipes_and_sockets_are_refused_without_waiting_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is a pipe, a socket or a device; give a folder" in refusal(tmp_path / "pipe")
    folder = folder_of(tmp_path / "d", TWO)
    os.mkfifo(folder / "c.png")
    assert "c.png is a pipe, a socket or a device and no regular file; remove it" in refusal(folder)
    (folder / "c.png").unlink()
    (folder / "c.png").symlink_to("/dev/zero")
    assert "c.png is a pipe" in refusal(folder)
    (folder / "c.png").unlink()
    os.mkfifo(folder / "dataset.json")
    assert "dataset.json is a pipe" in refusal(folder)
    (folder / "dataset.json").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        home = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        try:
            server.bind("s.png")
        finally:
            os.chdir(home)
        assert "s.png is a pipe" in refusal(folder)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", r"not an image, or an incomplete one"),
    "page.jpg": (b"<html>404</html>", r"not an image"),
    "half.png": (image()[:-30], r"truncated|broken|incomplete"),
    "bomb.png": (png(20_000, 20_000), r"more pixels than can be decoded safely"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", r"not an image"),
}


def test_broken_files_are_all_named_at_once(tmp_path: Path) -> None:
    found = refusal(folder_of(tmp_path / "d", TWO, others={name: content for name, (content, _) in BROKEN.items()}))
    assert found.startswith("5 of 7 images in ") and "a.png" not in found
    for name, (_, reason) in BROKEN.items():
        # Files with the same fault stand in one line.
        assert re.search(rf"\n  ([^:\n]*, )?{re.escape(name)}(, [^:\n]*)?: .*({reason})", found)


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d", TWO)
    (folder / "dead.png").symlink_to("nowhere.png")
    (folder / "self.png").symlink_to("self.png")
    assert refusal(folder).startswith("2 of 4 images in ")
    (folder / "dataset.json").symlink_to("nowhere.json")
    assert re.search(r"dataset\.json cannot be read \(.*No such file.*\); repair or remove it", refusal(folder))


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "d", ("x/a.png", "y/b.png"))
    scan = os.scandir

    def forbidden(path: Path) -> object:  # for the tests' user nothing is forbidden
        if path.name == "y":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    assert "d/y cannot be read (Permission denied); change its permissions or remove it" in refusal(folder)


def test_names_are_shown_in_one_line_whatever_they_are(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d", TWO, others={"new\nline.png": b"", "\udcff.png": b"", "tab\t\x1b[31m.png": b""})
    found = refusal(folder)
    assert len(found.splitlines()) == 2 and found.isascii() and "new\\nline.png" in found


def test_a_path_without_images_says_what_is_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d", (), others={"a.heic": b"1", "b.heic": b"2", "c": b"3"})
    assert re.search(r"holds no image but 2 \.heic, 1 without an ending; images end in .*\.tiff", refusal(folder))


def test_bombs_take_neither_time_nor_memory(tmp_path: Path) -> None:
    huge = folder_of(tmp_path / "huge", TWO) / "dataset.json"
    with huge.open("wb") as file:
        file.truncate(2**36)  # takes no room on the disk
    large = folder_of(tmp_path / "large", TWO) / "c.png"
    with large.open("wb") as file:
        file.truncate(2**36)
    nested = folder_of(tmp_path / "nested", TWO, others={"dataset.json": b"[" * 10**6})
    numbers = folder_of(tmp_path / "numbers", TWO, others=labels([["a.png", 2**62], ["b.png", 0]]))
    packed = zip_of(tmp_path / "packed.zip", TWO)
    with_entry_changed(packed, "b.png", offset=24, value=struct.pack("<I", 2**31))
    tracemalloc.start()
    started = time.monotonic()
    assert re.search(r"dataset\.json has 68,719,476,736 bytes, too many for 2 images", refusal(huge.parent))
    assert re.search(r"c\.png: it has 68,719,476,736 bytes", refusal(large.parent))
    for path in (nested, numbers, packed):
        refusal(path)
    assert time.monotonic() - started < 60
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()
