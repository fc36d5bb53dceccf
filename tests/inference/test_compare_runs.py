"""`compare`: settings that differ, numbers that may stand side by side, curves and samples."""

import json
from base64 import b64decode
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data import ImageFiles
from lightning_gan.inference.compare_runs import compare
from lightning_gan.inference.run_figures import logged_curves, measured_curves
from lightning_gan.inference.run_files import flat_settings, read_runs
from lightning_gan.inference.run_tables import differences, measurements, metrics_table
from tests.inference.read_pages import ReadPage
from tests.inference.run_folders import config, measured, run_folder


def two(tmp_path: Path, first: list[dict[str, object]], second: list[dict[str, object]]) -> list[str]:
    return [
        str(run_folder(tmp_path / "a", records=first)),
        str(run_folder(tmp_path / "b", records=second)),
    ]


# ------------------------------------------------------------------ settings


def test_settings_are_named_by_the_classes_that_they_belong_to() -> None:
    assert flat_settings(config(gamma=2.0, callbacks=2)) == {
        "seed_everything": "0",
        "model": "DCGAN",
        "model.width": "8",
        "data": "Digits",
        "data.image_size": "32",
        "trainer.callbacks.R1": "yes",
        "trainer.callbacks.R1.gamma": "2.0",
        "trainer.callbacks.R1#2": "yes",
        "trainer.callbacks.R1#2.gamma": "2.0",
    }


def test_only_settings_that_differ_are_shown(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a", settings=config(gamma=1.0)),
        run_folder(tmp_path / "b", settings=config(gamma=5.0)),
        run_folder(tmp_path / "c", settings=config(callbacks=0)),
    ]
    table = differences(read_runs([str(folder) for folder in folders]))
    assert table.columns == ["a", "b", "c"]
    shown = {name: list(cells) for name, cells in table.rows}
    assert shown["trainer.callbacks.R1"] == ["yes", "yes", "–"]
    assert shown["trainer.callbacks.R1.gamma"] == ["1.0", "5.0", "–"]
    assert set(shown) == {"trainer.callbacks.R1", "trainer.callbacks.R1.gamma", "trainer.callbacks"}
    same = differences(read_runs([str(folders[0]), str(run_folder(tmp_path / "x" / "a"))]))
    assert same.rows == [] and same.notes == ["All settings are the same."]
    assert len(set(same.columns)) == 2  # two folders of one name have their paths as names


# ------------------------------------------------------------------ metrics


def test_the_latest_numbers_of_one_protocol_stand_side_by_side(tmp_path: Path) -> None:
    first = [measured(2.0, 9.0), measured(4.0, 8.0), measured(4.0, 7.5, fake_count=500, stage="test")]
    second = [measured(2.0, 6.0), measured(6.0, 5.0)]
    runs = read_runs(two(tmp_path, first, second))
    (one,) = measurements(runs, any_protocol=False)
    table = metrics_table(runs, one)
    shown = {name: list(cells) for name, cells in table.rows}
    assert shown == {
        "kimg": ["4", "6"],
        "averaged weights": ["yes", "yes"],
        "seed": ["0", "0"],
        "frechet_distance": ["8", "5"],
        "recall": ["0.5", "0.5"],
    }
    assert "fake count 50," in table.notes[0] and "extractor DigitFeatures" in table.notes[0]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"fake_count": 500}, "a with fake_count=50; b with fake_count=500"),
        ({"extractor": "InceptionFeatures"}, "a with extractor=DigitFeatures; b with extractor=InceptionFeatures"),
        ({"truncation": 0.7}, "truncation=1.0; b with truncation=0.7"),
        ({"real_count": 90}, "real_count=100; b with real_count=90"),
    ],
)
def test_numbers_of_different_protocols_are_refused_unless_asked_for(
    other: dict[str, object], told: str, tmp_path: Path
) -> None:
    runs = read_runs(two(tmp_path, [measured(2.0, 9.0)], [measured(2.0, 7.0, **other)]))
    with pytest.raises(ValueError, match="frechet_distance was measured in different ways") as refused:
        measurements(runs, any_protocol=False)
    assert told in str(refused.value) and "\n" not in str(refused.value) and "--any_protocol" in str(refused.value)
    (one,) = measurements(runs, any_protocol=True)
    table = metrics_table(runs, one)
    assert dict(table.rows)["frechet_distance"] == ["9", "7"]
    (name,) = other
    assert table.notes[1].startswith("Not comparable") and name in table.notes[1] and name not in table.notes[0]


@pytest.mark.parametrize("other", [{"seed": 1}, {"ema": False}, {"weights": "b1"}, {"stage": "test"}])
def test_what_was_measured_is_no_protocol(other: dict[str, object], tmp_path: Path) -> None:
    runs = read_runs(two(tmp_path, [measured(2.0, 9.0)], [measured(2.0, 7.0, **other)]))
    assert len(measurements(runs, any_protocol=False)) == 1


def test_numbers_of_images_of_another_size_are_refused(tmp_path: Path) -> None:
    larger = config()
    larger["data"]["init_args"]["image_size"] = 64
    a = run_folder(tmp_path / "a", records=[measured(2.0, 9.0)])
    b = run_folder(tmp_path / "b", records=[measured(2.0, 9.0)], settings=larger)
    with pytest.raises(ValueError, match="a with data: image_size=32; b with data: image_size=64"):
        measurements(read_runs([str(a), str(b)]), any_protocol=False)


def test_a_folder_and_a_zip_of_the_same_files_are_the_same_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(images / f"{number}.png")
    with ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in sorted(images.iterdir()):
            archive.write(file, file.name)
    folders = two(tmp_path, [measured(2.0, 9.0)], [measured(2.0, 7.0)])
    for folder, path in zip(folders, (images, tmp_path / "images.zip"), strict=True):
        fingerprints = ImageFiles(path=path, image_size=8, image_channels=3).origin.fingerprints
        (Path(folder) / "checkpoints").mkdir()
        saved = {"state_dict": {}, "data": {"fingerprints": dict(fingerprints)}}
        torch.save(saved, Path(folder) / "checkpoints" / "last.ckpt")
    (one,) = measurements(read_runs(folders), any_protocol=False)
    assert one.protocols[0] == one.protocols[1] and "data: sizes of files" in one.protocols[0]


def test_measurements_of_other_kinds_have_tables_of_their_own_and_may_be_missing(tmp_path: Path) -> None:
    similarity = {**measured(3.0, 0.0), "metrics": {"ms_ssim": 0.25}, "fake_pairs": 7}
    runs = read_runs(two(tmp_path, [measured(2.0, 9.0), similarity], [measured(2.0, 8.0)]))
    one, other = (metrics_table(runs, one) for one in measurements(runs, any_protocol=False))
    assert dict(one.rows)["frechet_distance"] == ["9", "8"] and "ms_ssim" not in dict(one.rows)
    assert dict(other.rows)["ms_ssim"] == ["0.25", "–"] and dict(other.rows)["kimg"] == ["3", "–"]


# ------------------------------------------------------------------ curves, and everything together


def test_curves_are_over_kimg_and_of_numbers_that_change(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", losses=[3.0, 2.0, 1.0], records=[measured(2.0, 9.0), measured(1.0, 99.0)])
    b = run_folder(tmp_path / "b", losses=[5.0], records=[measured(2.0, 5.0, fake_count=500), measured(3.0, 4.0)])
    runs = read_runs([str(a), str(b)])
    logged = logged_curves(runs, without=["metrics/"])
    assert list(logged) == ["generator/adversarial"]  # the learning rate is constant
    first, second = logged["generator/adversarial"]
    assert (first.kimg, first.values) == ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert (second.run, second.kimg, second.values) == (1, [1.0], [5.0])
    of_metrics = measured_curves(runs, measurements(runs, any_protocol=False))
    first, second = of_metrics["frechet_distance"]
    assert (first.kimg, first.values) == ([1.0, 2.0], [99.0, 9.0])  # in the order of training
    assert second.values == [4.0]  # the other one is of another protocol
    assert "recall" not in of_metrics


def test_compare_prints_tables_and_writes_a_page_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    run_folder(tmp_path / "runs" / "a", losses=[3.0, 1.0], records=[measured(1.0, 9.0), measured(2.0, 8.0)], gray=200)
    run_folder(tmp_path / "runs" / "b", settings=config(gamma=7.5), records=[measured(2.0, 6.0)], gray=100)
    compare(["runs/a", "runs/b"])
    shown = capsys.readouterr()
    assert "trainer.callbacks.R1.gamma  1.0  7.5" in shown.out and "frechet_distance  8    6" in shown.out
    assert "b has no log.csv" in shown.err and max(map(len, shown.out.splitlines())) <= 80
    names = ["comparison.html", "comparison.md", "metrics.png", "samples.png", "training.png"]
    assert sorted(path.name for path in Path("comparison").iterdir()) == names
    page = Path("comparison/comparison.md").read_text()
    assert "| trainer.callbacks.R1.gamma | 1.0 | 7.5 |" in page and "![Last samples](samples.png)" in page
    with Image.open("comparison/samples.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels == 200).sum() >= 40 * 60 and (pixels == 100).sum() >= 40 * 60  # the latest grids of both
    compare(["runs/a", "runs/b"])
    assert Path("comparison-2/comparison.md").read_text() == page
    run_folder(tmp_path / "runs" / "c", settings=config(gamma=8.5))
    with pytest.raises(ValueError, match=r"comparison/.* exists with other contents; give another place"):
        compare(["runs/a", "runs/c"], out="comparison")
    compare(["runs/a", "runs/c"], out="comparison", overwrite=True)
    assert "8.5" in Path("comparison/comparison.md").read_text()


def test_the_page_of_compare_has_everything_in_one_file(tmp_path: Path) -> None:
    of_a = [measured(1.0, 9.0), measured(2.0, 8.0)]
    a = run_folder(tmp_path / "a", losses=[3.0, 1.0], records=of_a, gray=200)
    b = run_folder(tmp_path / "<b>", settings=config(gamma=7.5), records=[measured(2.0, 6.0, fake_count=9)], gray=100)
    with pytest.raises(ValueError, match="was measured in different ways"):
        compare([str(a), str(b)], out=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    compare([str(a), str(b)], out=str(tmp_path / "out"), any_protocol=True)
    shown = ReadPage(tmp_path / "out" / "comparison.html")
    assert shown.texts["h1"] == ["a and <b>"] and shown.elsewhere == []
    titles = ["Metrics while training", "Logged numbers", "Last samples", "Settings that differ", "What is missing"]
    assert shown.texts["h2"] == ["What was trained", "Metrics", *titles]
    assert shown.cells("frechet_distance") == [["8", "6"]] and shown.cells("images seen") == [["12,500", "12,500"]]
    assert shown.cells("trainer.callbacks.R1.gamma") == [["1.0", "7.5"]]
    assert "Not comparable: the numbers were measured in different ways (fake_count 50 and 9)." in shown.text
    assert "<b> has no log.csv, so that there are no curves of its losses." in shown.text
    contents = [b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in shown.images]
    assert contents == [(run / "samples" / "kimg_000012.500.png").read_bytes() for run in (a, b)]


def test_numbers_stand_beside_their_errors_also_if_only_one_run_has_them(tmp_path: Path) -> None:
    known = {**measured(2.0, 0.0), "metrics": {"frechet_distance": 24884.1, "frechet_distance_error": 14.6}}
    earlier = {**known, "kimg": 1.0, "metrics": {"frechet_distance": 30000.0, "frechet_distance_error": 20.0}}
    runs = read_runs(two(tmp_path, [earlier, known], [measured(2.0, 8.0)]))
    one, other = measurements(runs, any_protocol=False)
    assert one.metrics == ["frechet_distance"] and other.metrics == ["recall"]
    assert dict(metrics_table(runs, one).rows)["frechet_distance"] == ["24884 ± 15", "8"]
    (first, second) = measured_curves(runs, [one])["frechet_distance"]
    assert first.errors == [20.0, 14.6] and second.errors == ()


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    other = run_folder(tmp_path / "b", records=[])
    with pytest.raises(ValueError, match="at least two runs"):
        compare([str(folder)])
    with pytest.raises(ValueError, match="is given twice"):
        compare([str(folder), f"{folder}/"])
    with pytest.raises(ValueError, match=r"nothing is no folder of a run: it has no config\.yaml"):
        compare([str(folder), str(tmp_path / "nothing")])
    for text in (
        "[1",
        *map(json.dumps, ({"a": 1}, [1], [{"metrics": {"a": 1.0}}], [{"kimg": 1, "metrics": {"a": "b"}}])),
    ):
        (other / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match=r"metrics\.json is no list of measurements"):
            compare([str(folder), str(other)])
    (other / "metrics.json").unlink()
    (other / "config.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match=r"config\.yaml holds no settings"):
        compare([str(folder), str(other)])
