"""The command `prepare`: what it writes, what it leaves out and says, and that a cut run changes nothing."""

import json
import random
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data import ImageFolder
from lightning_gan.data.decoding import Resize
from lightning_gan.data.preparation import prepare
from lightning_gan.data.preparation_report import RECORD
from lightning_gan.data.progress_report import ProgressReport


def pixels(width: int, height: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photos(path: Path, *, count: int = 9) -> Path:
    """Two classes of upright and wide images of different sizes, a broken one, a small one and a copy of another."""
    for index in range(count):
        image = path / ("cats" if index % 2 else "dogs") / f"{index}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(20 + index, 30 - index, seed=index)).save(image)
    (path / "cats" / "broken.jpg").write_bytes(b"no photograph")
    Image.fromarray(pixels(40, 7, seed=99)).save(path / "dogs" / "small.png")
    (path / "dogs" / "zz_copy.png").write_bytes((path / "dogs" / "0.png").read_bytes())
    return path


def files_in(path: Path) -> dict[str, bytes]:
    """All files of a folder or zip by their names, in the order in which a zip has them."""
    if path.is_dir():
        found = sorted(inner for inner in path.rglob("*") if inner.is_file())
        return {inner.relative_to(path).as_posix(): inner.read_bytes() for inner in found}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def images_of(path: Path, *, size: int, channels: int = 3) -> ImageFolder:
    return ImageFolder(path=path, image_size=size, image_channels=channels, number_of_workers=0)


def test_the_result_is_what_the_data_module_makes_of_the_source_and_is_read_without_resizing(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    (source / "cats" / "broken.jpg").unlink()
    (source / "dogs" / "small.png").unlink()
    for resize in (Resize.center_crop, Resize.squash, Resize.shorter_side):
        wanted = ImageFolder(path=source, image_size=8, resize=resize, number_of_workers=0)
        prepare(str(source), str(tmp_path / resize.value), image_size=8, resize=resize)
        found = images_of(tmp_path / resize.value, size=8)
        everything = torch.arange(len(wanted.source))
        assert len(found.source) == len(wanted.source) == 10
        both = [data.source.read(everything, resolution=8) for data in (wanted, found)]
        assert torch.equal(*both)
        assert torch.equal(wanted.source.labels, found.source.labels)
        assert found.source.origin.class_names == ("cats", "dogs")
        assert not found.source.origin.remarks


def test_what_is_left_out_is_counted_named_and_kept_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = photos(tmp_path / "photos")
    (source / "notes.txt").write_text("no image")
    prepare(str(source), str(tmp_path / "out"), image_size=8, duplicates=False)
    told = capsys.readouterr().out
    assert "9 images of 8x8x3, 2 classes, of 12 in " in told
    for part in (
        "1 broken (the first is cats/broken.jpg, it is not an image, or an incomplete one)",
        "1 too small (the first is dogs/small.png, 40x7 pixels)",
        "1 duplicate (the first is dogs/zz_copy.png, it has the same pixels as an image before it)",
        "not read: left out 1 .txt",
        f"fit --config stylegan.yaml --images {tmp_path / 'out'}",
    ):
        assert part in told
    record = json.loads((tmp_path / "out" / RECORD).read_bytes())
    assert record["images"] == 9 and record["settings"]["image_size"] == 8
    assert [name for name, _ in record["left_out"]] == ["cats/broken.jpg", "dogs/small.png", "dogs/zz_copy.png"]
    labels = json.loads((tmp_path / "out" / "dataset.json").read_bytes())
    assert len(labels["labels"]) == 9 and labels["classes"] == ["cats", "dogs"]


def test_options_keep_small_images_and_copies_and_leave_labels_out(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    prepare(str(source), str(tmp_path / "out"), image_size=8, enlarge=True, labels=False, image_channels=1)
    assert json.loads((tmp_path / "out" / "dataset.json").read_bytes()) == {"labels": None}
    data = images_of(tmp_path / "out", size=8, channels=1)
    assert len(data.source) == 11 and data.number_of_classes == 0


def test_without_a_size_images_keep_theirs_and_others_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for name, shape in {"a": (12, 12), "b": (12, 12), "c": (24, 24), "d": (12, 13)}.items():
        Image.fromarray(pixels(*shape, seed=0)).save(source / f"{name}.png")
    prepare(str(source), str(tmp_path / "out"))
    assert "2 images of 12x12x3, without labels, of 4" in capsys.readouterr().out
    Image.fromarray(pixels(3, 4, seed=0)).save(source / "a.png")
    with pytest.raises(ValueError, match=r"a.png has 3x4 pixels and is no square; give image_size"):
        prepare(str(source), str(tmp_path / "other"))


def test_transparency_and_orientation_are_those_that_are_seen(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(source / "a.png")
    turned = Image.fromarray(pixels(8, 16, seed=0))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(source / "b.png", exif=exif)
    prepare(str(source), str(tmp_path / "out"), image_size=8)
    images = images_of(tmp_path / "out", size=8).source.read(torch.arange(2), resolution=8)
    assert (images[0] == 255).all()  # on white
    upright = np.asarray(turned.rotate(-90, expand=True))[:, 4:12]
    assert torch.equal(images[1], torch.from_numpy(upright.copy()).permute(2, 0, 1))


def test_a_zip_holds_the_files_of_the_folder_uncompressed_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    for name in ("out", "out.zip", "again.zip"):
        prepare(str(source), str(tmp_path / name), image_size=8, threads=3)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    assert len(images_of(tmp_path / "out.zip", size=8).source) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "out", "out.zip", "photos"]


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "photos", count=20)
    prepare(str(source), str(tmp_path / "whole"), image_size=8, duplicates=False)
    whole = files_in(tmp_path / "whole")

    class Killed(BaseException):
        pass

    report = ProgressReport.report
    for last in (1, 7, 15, 23):
        monkeypatch.undo()

        def reported(self: ProgressReport, done: int, last: int = last) -> None:
            if done == last:
                raise Killed
            report(self, done)

        monkeypatch.setattr(ProgressReport, "report", reported)
        with pytest.raises(Killed):
            prepare(str(source), str(tmp_path / name), image_size=8, duplicates=False)
        assert not (tmp_path / name).exists()
    # What a killed process leaves: half a file under its hidden name, and a damaged one.
    draft = tmp_path / f"{name}.preparing"
    first = next(draft.glob("*/img*.png"))
    first.with_name(f".{first.name}").write_bytes(b"half")
    first.write_bytes(first.read_bytes()[:60])
    monkeypatch.undo()
    prepare(str(source), str(tmp_path / name), image_size=8, duplicates=False)
    assert files_in(tmp_path / name) == whole
    assert not draft.exists()


def test_finished_work_is_not_done_again_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "photos")
    for name in ("out", "out.zip"):
        prepare(str(source), str(tmp_path / name), image_size=8)
        before = files_in(tmp_path / name)
        prepare(str(source), str(tmp_path / name), image_size=8)
        assert f"{name} is prepared already" in capsys.readouterr().out
        with pytest.raises(ValueError, match=f"{name} exists and is no result of this work; give another destination"):
            prepare(str(source), str(tmp_path / name), image_size=4)
        assert files_in(tmp_path / name) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "file.zip").write_text("mine")
    for name in ("mine", "file.zip", "photos/cats/out"):
        with pytest.raises(ValueError, match=r"exists and is no result|lies within the source"):
            prepare(str(source), str(tmp_path / name), image_size=4)
    assert (tmp_path / "file.zip").read_text() == "mine"


def test_unfinished_work_of_other_settings_or_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "photos")
    monkeypatch.setattr(ProgressReport, "report", lambda self, done: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(str(source), str(tmp_path / "out"), image_size=8)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"out.preparing was begun with another image_size; give the same as then"):
        prepare(str(source), str(tmp_path / "out"), image_size=16)
    (source / "cats" / "1.png").unlink()
    with pytest.raises(ValueError, match="was begun with another source"):
        prepare(str(source), str(tmp_path / "out"), image_size=8)
    (tmp_path / "other.preparing").mkdir()
    (tmp_path / "other.preparing" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"other.preparing is no unfinished work of this command"):
        prepare(str(source), str(tmp_path / "other"), image_size=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 0}, "image_size=0 must be at least 1"),
        ({"image_size": 8, "threads": 0}, "threads=0 must be at least 1"),
        ({"image_size": 8, "image_channels": 2}, "image_channels=2 cannot be read from image files"),
        ({"image_size": 64}, "no image of .*photos can be used: 11 too small"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(str(photos(tmp_path / "photos")), str(tmp_path / "out"), **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    file = BytesIO()
    Image.fromarray(pixels(200, 200, seed=0)).save(file, "PNG")
    for index in range(600):
        (source / f"{index:04}.png").write_bytes(file.getvalue())
    prepare(str(source), str(tmp_path / "whole"), image_size=64)
    code = f"from lightning_gan.data.preparation import prepare; prepare({str(source)!r}, 'out.zip', image_size=64)"
    command, waits = [sys.executable, "-c", code], random.Random(0)
    kills = 0
    while kills < 4:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = time.monotonic()
        while not any((tmp_path / "out.zip.preparing").glob("*/*.png")) and time.monotonic() - begun < 60:
            time.sleep(0.05)
        time.sleep(waits.uniform(0, 0.3))
        process.kill()
        process.wait()
        kills += 1
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert files_in(tmp_path / "out.zip") == files_in(tmp_path / "whole")
