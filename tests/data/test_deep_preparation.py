"""`prepare` keeps the values of images of 16 bits, of floats and of any number of channels."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data import ImageFolder, Resize
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.preparation import prepare
from lightning_gan.data.preparation_report import RECORD
from lightning_gan.data.progress_report import ProgressReport
from tests.data.test_preparation import files_in
from tests.data.test_value_ranges import DEEP, SIZE, folder_of, noise, npy, png

Range = tuple[float, float]


def source_of(path: Path, values: list[np.ndarray], *, classes: int = 1) -> Path:
    """A folder of arrays, each of its type, in folders of classes."""
    for number, one in enumerate(values):
        file = path / f"class{number % classes}" / f"{number}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(npy(one))
    return path


def read(path: Path, *, channels: int, value_range: Range | None, **settings: Any) -> torch.Tensor:
    data = ImageFolder(
        path=path, image_size=SIZE, image_channels=channels, value_range=value_range, number_of_workers=0, **settings
    )
    return data.source.read(torch.arange(len(data.source)), resolution=SIZE)


def arrays_in(path: Path) -> list[np.ndarray]:
    return [np.load(BytesIO(contents)) for name, contents in files_in(path).items() if name.endswith(".npy")]


def left_out(path: Path) -> dict[str, str]:
    found: dict[str, str] = dict(json.loads((path / RECORD).read_bytes())["left_out"])
    return found


SAME: list[tuple[np.ndarray, Range]] = [
    (noise(SIZE, SIZE), DEEP),
    (noise(SIZE, SIZE, 5), DEEP),
    (noise(SIZE, SIZE, 2).astype(np.uint8), (0.0, 255.0)),
    (noise(SIZE, SIZE).astype(np.int16), (-32768.0, 32767.0)),
    (np.random.default_rng(0).uniform(-1, 3, (SIZE, SIZE, 3)).astype(np.float32), (-1.5, 3.25)),
    (np.random.default_rng(0).uniform(1e6, 1e6 + 1, (SIZE, SIZE)), (1e6, 1e6 + 1)),
]


@pytest.mark.parametrize(("values", "value_range"), SAME, ids=lambda one: str(getattr(one, "dtype", "")))
def test_images_that_have_the_size_keep_their_type_and_every_value(
    values: np.ndarray, value_range: Range, tmp_path: Path
) -> None:
    channels = 1 if values.ndim == 2 else values.shape[2]
    source = source_of(tmp_path / "d", [values, values[::-1]])
    for out in ("out", "out.zip"):
        prepare(str(source), str(tmp_path / out), image_size=SIZE, image_channels=channels, value_range=value_range)
        found = arrays_in(tmp_path / out)
        assert [one.dtype for one in found] == [values.dtype] * 2
        assert np.array_equal(found[0], values) and np.array_equal(found[1], values[::-1])
        both = [read(tmp_path / path, channels=channels, value_range=value_range) for path in ("d", out)]
        assert torch.equal(*both)


@pytest.mark.parametrize("resize", [Resize.center_crop, Resize.shorter_side, Resize.squash])
@pytest.mark.parametrize(
    ("kind", "value_range", "stored"),
    [
        (np.uint16, DEEP, np.float32),
        (np.float32, (-7.0, 70000.0), np.float32),
        (np.int32, (-5.0, 65535.0), np.float32),
        (np.float64, (-5.0, 65535.0), np.float32),
        (np.float64, (-1e9, -1e9 + 65535), np.float64),
    ],
)
def test_resized_images_are_those_of_the_folder_to_the_last_places_of_a_float(
    kind: Any, value_range: Range, stored: Any, resize: Resize, tmp_path: Path
) -> None:
    shift = -1e9 if value_range[0] < -1e8 else 0
    images = [(noise(12 + seed, 19, 2, seed=seed) + shift).astype(kind) for seed in range(3)]
    source = source_of(tmp_path / "d", images)
    out = tmp_path / "out"
    prepare(str(source), str(out), image_size=SIZE, image_channels=2, resize=resize, value_range=value_range)
    assert all(one.dtype == stored and one.shape == (SIZE, SIZE, 2) for one in arrays_in(out))
    wanted = read(source, channels=2, value_range=value_range, resize=resize)
    torch.testing.assert_close(read(out, channels=2, value_range=value_range), wanted, rtol=0, atol=1.2e-7)


@pytest.mark.parametrize(("low", "stored"), [(7.0, np.float32), (9.0, np.float64), (-9.0, np.float64)])
def test_narrow_ranges_far_from_zero_are_kept_to_a_millionth(low: float, stored: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(low, low + 1, (60, 60))
    source, value_range = source_of(tmp_path / "d", [values]), (low, low + 1)
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1, value_range=value_range)
    assert arrays_in(tmp_path / "out")[0].dtype == stored
    wanted = read(source, channels=1, value_range=value_range, resize=Resize.center_crop)
    torch.testing.assert_close(read(tmp_path / "out", channels=1, value_range=value_range), wanted, rtol=0, atol=1e-6)


def test_resized_values_are_those_of_pillow_in_their_own_units_and_stay_in_the_range(tmp_path: Path) -> None:
    values = np.zeros((20, 20), dtype=np.float32)
    values[:, 9:] = 0.1  # which floats of 32 and of 64 bits write as two numbers
    prepare(
        str(source_of(tmp_path / "d", [values])),
        str(tmp_path / "out"),
        image_size=SIZE,
        image_channels=1,
        value_range=(0.0, 0.1),
    )
    (found,) = arrays_in(tmp_path / "out")
    by_pillow = np.asarray(Image.fromarray(values).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    assert by_pillow.max() > 0.1  # the filter leaves the range
    np.testing.assert_allclose(found, by_pillow.clip(0, 0.1), rtol=0, atol=1e-8)
    assert read(tmp_path / "out", channels=1, value_range=(0.0, 0.1)).max() == 1


def test_means_of_whole_numbers_are_not_rounded(tmp_path: Path) -> None:
    mask = np.zeros((2 * SIZE, 2 * SIZE), dtype=np.uint8)
    mask[0, 0] = 1
    source = source_of(tmp_path / "d", [mask])
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1, value_range=(0.0, 1.0))
    assert arrays_in(tmp_path / "out")[0][0, 0] == 0.25


def test_rectangles_and_labels_are_kept(tmp_path: Path) -> None:
    source = source_of(tmp_path / "d", [noise(10, 20, 2, seed=seed) for seed in range(5)], classes=2)
    settings: dict[str, Any] = {"image_channels": 2, "value_range": DEEP}
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_width=6, **settings)
    data = [
        ImageFolder(path=path, image_size=SIZE, image_width=6, resize=Resize.center_crop, **settings)
        for path in (source, tmp_path / "out")
    ]
    wanted, found = (one.source.read(torch.arange(5), resolution=SIZE) for one in data)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1.2e-7)
    assert data[1].source.labels is not None and data[1].source.labels.tolist() == [0, 0, 0, 1, 1]
    assert data[1].source.origin.class_names == ("class0", "class1")


def test_png_and_tiff_files_of_16_bits_are_read_as_the_folder_reads_them(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "d", [png(noise(SIZE, SIZE)), png(noise(12, 12))])
    Image.fromarray(noise(SIZE, SIZE, seed=2)).save(source / "2.tif")
    Image.fromarray(np.float32(noise(SIZE, SIZE, seed=3))).save(source / "3.tif")
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1, value_range=DEEP)
    kinds = [np.dtype(kind) for kind in (np.uint16, np.float32, np.uint16, np.float32)]
    assert [one.dtype for one in arrays_in(tmp_path / "out")] == kinds
    wanted = read(source, channels=1, value_range=DEEP, resize=Resize.center_crop)
    torch.testing.assert_close(read(tmp_path / "out", channels=1, value_range=DEEP), wanted, rtol=0, atol=1.2e-7)


def test_tiff_files_of_several_channels_of_floats_give_the_size(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values, file = np.random.default_rng(0).uniform(0, 1, (SIZE, SIZE, 2)).astype(np.float32), BytesIO()
    tifffile.imwrite(file, values, planarconfig="contig", photometric="minisblack")
    source = folder_of(tmp_path / "d", [file.getvalue()], suffix=".tif")
    prepare(str(source), str(tmp_path / "out"), image_channels=2, value_range=(0.0, 1.0))
    assert np.array_equal(arrays_in(tmp_path / "out")[0], values)


def test_arrays_of_bytes_need_no_range_and_become_pictures_if_they_can(tmp_path: Path) -> None:
    for channels, ending in ((3, ".png"), (5, ".npy")):
        images = [noise(12, 12, channels, seed=seed).astype(np.uint8) for seed in range(2)]
        source, out = source_of(tmp_path / f"d{channels}", images), tmp_path / f"out{channels}"
        prepare(str(source), str(out), image_size=SIZE, image_channels=channels)
        assert {Path(name).suffix for name in files_in(out) if "img" in name} == {ending}
        wanted = read(source, channels=channels, value_range=None, resize=Resize.center_crop)
        assert wanted.dtype == torch.uint8
        assert torch.equal(read(out, channels=channels, value_range=None), wanted)


def test_what_the_settings_do_not_hold_is_left_out_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = np.full((SIZE, SIZE), 50.0)
    wrong[1, 2] = float("nan")
    images = [np.full((SIZE, SIZE), 50.0), wrong, wrong.clip(60) * 3, np.zeros((SIZE, SIZE, 2)), np.zeros((4, 4))]
    images[2][1, 2] = 101
    images[2] = images[2].clip(0, 101)
    source = source_of(tmp_path / "d", images)
    (source / "class0" / "5.npy").write_bytes(npy(images[0])[:-9])
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1, value_range=(0.0, 100.0))
    reasons = left_out(tmp_path / "out")
    for number, reason in {
        1: "of other values: its value nan is not finite; give it a finite one, or leave out the image",
        2: "of other values: its value 101.0 is outside of value_range [0, 100]; give a range that holds all values",
        3: "of other values: it has 2 channels, not 1; set image_channels to 2",
        4: "too small: 4x4 pixels",
        5: "broken: ",
    }.items():
        assert reasons[f"class0/{number}.npy"].startswith(reason)
    told = capsys.readouterr().out
    assert "1 images of 8x8x1 with values in [0, 100], without labels, of 6" in told
    assert "left out: 3 of other values (the first is class0/1.npy, its value nan is not finite; " in told


@pytest.mark.parametrize(
    ("contents", "value_range", "reason"),
    [
        (png(noise(SIZE, SIZE)), None, r"more than 8 bits; .*\[0, 65535\]'; prepare, test --reals: --value_range\)"),
        (png(noise(SIZE, SIZE).astype(np.uint8)), DEEP, r"it has 8 bits per channel, and value_range \[0, 65535\]"),
        (npy(noise(SIZE, SIZE)), None, r"it has uint16 values from .* prepare, test --reals: --value_range\)"),
    ],
)
def test_after_a_refusal_other_settings_are_taken(
    contents: bytes, value_range: Range | None, reason: str, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "d", [contents])
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=rf"no image of .* can be used: 1 of other values .*{reason}") as caught:
        prepare(str(source), str(out), image_size=SIZE, image_channels=1, value_range=value_range)
    assert "\n" not in str(caught.value)
    other = (0.0, 255.0) if value_range == DEEP else DEEP
    prepare(str(source), str(out), image_size=SIZE, image_channels=1, value_range=other)


def test_if_none_of_the_first_images_can_be_used_the_others_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    values = ImageDecoder.values

    def counted(decoder: ImageDecoder, contents: bytes) -> np.ndarray:
        read.append(contents)
        return values(decoder, contents)

    monkeypatch.setattr(ImageDecoder, "values", counted)
    source = folder_of(tmp_path / "d", [npy(np.full((SIZE, SIZE), number / 7)) for number in range(150)], suffix=".npy")
    settings: dict[str, Any] = {"image_size": SIZE, "image_channels": 1, "threads": 2}
    with pytest.raises(ValueError, match=r"none of the first 100 images of .* can be used: 100 of other .*0\.npy, it"):
        prepare(str(source), str(tmp_path / "out"), **settings)
    assert 100 <= len(read) < 120 and not list(tmp_path.glob("out*"))
    prepare(str(source), str(tmp_path / "out"), **settings, value_range=(0.0, 30.0))
    assert len(arrays_in(tmp_path / "out")) == 150


def test_images_that_are_large_enough_are_found_behind_any_number_of_small_ones(tmp_path: Path) -> None:
    small = [npy(np.zeros((2, 2), dtype=np.uint8))] * 101
    source = folder_of(tmp_path / "d", small, suffix=".npy")
    (source / "last.npy").write_bytes(npy(np.zeros((SIZE, SIZE), dtype=np.uint8)))
    prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1)
    assert len(left_out(tmp_path / "out")) == 101


def test_copies_are_found_by_their_values(tmp_path: Path) -> None:
    source = source_of(tmp_path / "d", [noise(SIZE, SIZE), noise(SIZE, SIZE), noise(SIZE, SIZE, seed=1)])
    out = tmp_path / "out"
    prepare(str(source), str(out), image_size=SIZE, image_channels=1, value_range=DEEP, duplicates=False)
    assert list(left_out(out)) == ["class0/1.npy"] and len(arrays_in(out)) == 2


def test_a_run_that_was_cut_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path / "d", [noise(SIZE + seed % 3, 12, seed=seed // 2) for seed in range(10)])
    settings: dict[str, Any] = {"image_size": SIZE, "image_channels": 1, "value_range": DEEP, "duplicates": False}
    prepare(str(source), str(tmp_path / "whole"), **settings)

    def stopped(self: ProgressReport, done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressReport, "report", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(source), str(tmp_path / "out"), **settings)
    first, second = sorted((tmp_path / "out.preparing").glob("*/img*.npy"))[:2]
    written = second.stat().st_mtime_ns
    first.write_bytes(first.read_bytes()[:-20])  # as after a crash of the machine
    for other in ((0.0, 70000.0), None):
        with pytest.raises(ValueError, match=r"out.preparing was begun with another value_range; give the same as"):
            prepare(str(source), str(tmp_path / "out"), **(settings | {"value_range": other}))
    prepare(str(source), str(tmp_path / "out"), **settings)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
    assert (tmp_path / "out" / "00000" / second.name).stat().st_mtime_ns == written  # it was not made again


def test_finished_work_of_another_range_is_not_taken_for_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = source_of(tmp_path / "d", [noise(SIZE, SIZE)])
    settings: dict[str, Any] = {"image_size": SIZE, "image_channels": 1}
    for _ in range(2):
        prepare(str(source), str(tmp_path / "out"), **settings, value_range=DEEP)
    assert "is prepared already" in capsys.readouterr().out
    with pytest.raises(ValueError, match="out exists and is no result of this work"):
        prepare(str(source), str(tmp_path / "out"), **settings, value_range=(0.0, 70000.0))


def test_what_is_no_range_is_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "d", [noise(SIZE, SIZE)])
    with pytest.raises(ValueError, match=r"value_range=\[5, 5\] must be two finite numbers"):
        prepare(str(source), str(tmp_path / "out"), image_size=SIZE, image_channels=1, value_range=(5.0, 5.0))
    assert not list(tmp_path.glob("out*"))
