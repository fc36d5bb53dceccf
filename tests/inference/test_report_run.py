"""`report`: the page has what the run's files say, says what is missing, and is readable on wide and narrow screens."""

import json
import shutil
import subprocess
from base64 import b64decode
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_gan.inference.interpolate import interpolate
from lightning_gan.inference.report_run import report
from lightning_gan.inference.run_files import flat_settings
from lightning_gan.models import DCGAN
from tests.inference.read_pages import ReadPage
from tests.inference.run_folders import RECORD, config, measured, run_folder
from tests.inference.trained import saved, small

NUMBERS = {
    "frechet_distance": 8.125,
    "frechet_distance_error": 0.0625,
    "recall": 0.5,
    "recall_error": 0.071,
    "density": 0.25,
}

CHROMIUM = shutil.which("chromium")


def full_run(folder: Path) -> Path:
    """The folder of a run with everything that a page can show."""
    latest = {**RECORD, "remark": "not for quoting, ever", "metrics": NUMBERS}
    earlier = {**latest, "kimg": 1.0, "metrics": {**NUMBERS, "frechet_distance": 9.5}}
    run_folder(folder, records=[earlier, latest], losses=[3.0, 2.0, 1.0], gray=200)
    saved(small(DCGAN), folder / "checkpoints" / "last.ckpt")
    (folder / "nearest").mkdir()
    for kimg, gray in (("000009.000", 10), ("000012.500", 120)):
        Image.fromarray(np.full((30, 50), gray, dtype=np.uint8)).save(folder / "nearest" / f"kimg_{kimg}.png")
    return folder


def written(folder: Path, **options: Any) -> ReadPage:
    report(str(folder), **options)
    return ReadPage(Path(options.get("out", folder)) / "report.html")


def test_a_page_shows_what_the_files_of_the_run_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = full_run(tmp_path / "mine")
    shown = written(folder, interpolations=2)
    assert shown.texts["h1"] == ["mine"] and "DCGAN on Digits, 12,500 images seen." in shown.text
    titles = ["What was trained", "Metrics", "Samples", "Metrics while training", "Logged numbers"]
    assert shown.texts["h2"] == [*titles, "Nearest training images", "Interpolations"]
    assert shown.texts["summary"] == ["All settings"]
    assert shown.cells("model") == [["DCGAN"], ["DCGAN"]] and shown.cells("images seen") == [["12,500"]]
    assert shown.cells("seed") == [["0"], ["0"]]  # of the run and of the measurement
    model = small(DCGAN)
    counts = [sum(part.numel() for part in network.parameters()) for network in (model.generator, model.discriminator)]
    assert shown.cells("parameters") == [[f"generator {counts[0]:,}, discriminator {counts[1]:,}"]]
    for name, value in flat_settings(config()).items():
        assert [value] in shown.cells(name), name
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote report.html and report.md to {folder}"


def test_numbers_are_those_of_the_latest_measurement_with_errors_and_protocol(tmp_path: Path) -> None:
    folder = full_run(tmp_path / "mine")
    shown = written(folder, interpolations=0)
    latest = json.loads((folder / "metrics.json").read_text())[-1]["metrics"]
    assert latest == NUMBERS
    assert shown.cells("frechet_distance") == [["8.125 ± 0.062"]] and shown.cells("kimg") == [["2"]]
    assert shown.cells("recall") == [["0.500 ± 0.071"]] and shown.cells("density") == [["0.25"]]
    assert shown.cells("frechet_distance_error") == []
    assert shown.texts["dt"] == ["frechet distance", "recall"]  # first of the measurement, and with an error
    assert shown.texts["dd"] == ["8.125", "0.500"] and shown.texts["small"] == ["± 0.062", "± 0.071"]
    protocol = 'extractor DigitFeatures, real count 100, fake count 50, truncation 1.0, remark "not for quoting, ever"'
    assert f"Measured with {protocol}" in shown.text and shown.cells("averaged weights") == [["yes"]]
    text = (folder / "report.md").read_text()
    assert text.startswith("# mine\n") and "| frechet_distance | 8.125 ± 0.062 |" in text
    assert f"Measured with {protocol}" in text and "| trainer.callbacks.R1.gamma | 1.0 |" in text


def test_curves_are_those_of_training_also_if_the_latest_measurement_is_of_a_test(tmp_path: Path) -> None:
    tested = measured(3.0, 7.0, stage="test", fake_count=500, checkpoint="checkpoints/last.ckpt")
    folder = run_folder(tmp_path / "a", records=[measured(1.0, 9.0), measured(2.0, 8.0), tested])
    shown = written(folder)
    assert shown.cells("frechet_distance") == [["7"]] and shown.cells("checkpoint") == [["checkpoints/last.ckpt"]]
    assert 'aria-label="Curve of frechet_distance: a from 9 at 1 kimg to 8 at 2 kimg"' in shown.source
    assert "fake count 500" in shown.text and "fake count 50," in shown.text  # of the table and of the curves


def test_all_pictures_are_in_the_page_and_nothing_is_elsewhere(tmp_path: Path) -> None:
    folder = full_run(tmp_path / "mine")
    shown = written(folder, interpolations=2)
    assert shown.elsewhere == [] and all(image["alt"] for image in shown.images)
    contents = [b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in shown.images]
    grids = sorted((folder / "samples").iterdir())
    assert contents[:3] == [
        *(grid.read_bytes() for grid in grids),
        (folder / "nearest/kimg_000012.500.png").read_bytes(),
    ]
    interpolate(str(folder), str(tmp_path / "strip.png"), seeds="0-3", rows=2, frames=7)
    with Image.open(tmp_path / "strip.png") as strip:
        expected = strip.size
    last = shown.images[-1]
    assert (int(last["width"]), int(last["height"])) == expected and len(contents) == 4


def test_interpolations_are_those_of_the_command_with_one_class_in_each_row(tmp_path: Path) -> None:
    folder = full_run(tmp_path / "mine")
    shown = written(folder, interpolations=2)
    strip = tmp_path / "strip.png"
    interpolate(str(folder), str(strip), seeds="0-3", rows=2, frames=7)
    with_other_classes = strip.read_bytes()
    source = b64decode(shown.images[-1]["src"].removeprefix("data:image/png;base64,"))
    assert source != with_other_classes
    run_folder(tmp_path / "plain")
    saved(small(DCGAN, number_of_classes=0), tmp_path / "plain" / "checkpoints" / "last.ckpt")
    shown = written(tmp_path / "plain", interpolations=2)
    interpolate(str(tmp_path / "plain"), str(strip), seeds="0-3", rows=2, frames=7, overwrite=True)
    assert b64decode(shown.images[-1]["src"].removeprefix("data:image/png;base64,")) == strip.read_bytes()


def test_names_of_runs_settings_and_metrics_are_shown_as_they_are(tmp_path: Path) -> None:
    strange = config()
    strange["model"]["init_args"]["a | <i>&amp;"] = "<b>one</b>\ntwo | three"
    record = {**RECORD, "metrics": {"<u>&": 1.0, "$a_b$ | c": 2.0}}
    other = {**record, "kimg": 3.0, "metrics": {"<u>&": 3.0, "$a_b$ | c": 4.0}}
    folder = run_folder(tmp_path / "a <b>&ü", settings=strange, records=[record, other])
    shown = written(folder)
    assert shown.texts["h1"] == shown.texts["title"] == ["a <b>&ü"]
    assert shown.cells("model.a | <i>&amp;") == [["<b>one</b>\ntwo | three"]] and shown.cells("<u>&") == [["3"]]
    assert "$a_b$ | c" in shown.texts["text"]  # the title of a panel is no formula
    assert not {"b", "i", "u"} & set(shown.elements)
    text = (folder / "report.md").read_text()
    assert text.startswith("# a &lt;b&gt;&amp;ü\n")
    assert "| model.a &#124; &lt;i&gt;&amp;amp; | &lt;b&gt;one&lt;/b&gt; two &#124; three |" in text


def test_what_a_run_does_not_have_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = written(run_folder(tmp_path / "a"))
    told = capsys.readouterr().err
    text = (tmp_path / "a" / "report.md").read_text()
    for sentence in (
        "a has no metrics.json, so that there are no metrics of it.",
        "a has no log.csv, so that there are no curves of its losses.",
        "a has no grid of samples.",
        "a has no pictures in nearest/, so that there are no nearest real images.",
        "There are no interpolations: ",
    ):
        assert sentence in shown.text and sentence in told and sentence in text
    assert shown.texts["h2"] == ["What was trained", "What is missing"] and shown.images == []
    assert "There are no interpolations" not in written(tmp_path / "a", interpolations=0).text


def test_a_checkpoint_is_not_read_for_interpolations_that_are_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the checkpoint is loaded")

    folder = full_run(tmp_path / "mine")
    monkeypatch.setattr("lightning_gan.inference.report_run.trained_model", refused)
    assert "Interpolations" not in written(folder, interpolations=0).text


def test_of_many_grids_the_first_the_last_and_some_between_are_shown(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    (folder / "samples").mkdir()
    for kimg in (*range(20), 1_000_000):  # the last one has more digits
        Image.fromarray(np.full((4, 4), kimg % 256, dtype=np.uint8)).save(
            folder / "samples" / f"kimg_{kimg:010.3f}.png"
        )
    (folder / "samples" / "kimg_mine.png").write_text("no picture of the run")
    shown = written(folder, grids=6)
    assert shown.texts["figcaption"] == [f"a, {kimg} kimg." for kimg in (0, 4, 8, 12, 16, "1e+06")]
    assert written(folder, grids=1).texts["figcaption"] == ["a, 1e+06 kimg."]


def test_the_latest_picture_of_each_figure_is_shown(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    for name in ("mixing/kimg_000009.000", "mixing/kimg_000012.500", "noise/kimg_000009.000_layers", "noise/mine"):
        path = folder / "figures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(path)
    assert written(folder).texts["figcaption"] == ["mixing, 12.5 kimg.", "noise_layers, 9 kimg."]


def test_only_files_of_report_in_the_folder_of_the_run_are_replaced(tmp_path: Path) -> None:
    folder, elsewhere = run_folder(tmp_path / "a", gray=7), tmp_path / "elsewhere"
    report(str(folder))
    first = (folder / "report.html").read_bytes()
    report(str(folder))
    assert (folder / "report.html").read_bytes() == first  # the same files give the same page
    (folder / "report.md").write_text("My own notes.")
    with pytest.raises(ValueError, match=r"report\.md exists; give another place, or --overwrite to replace it"):
        report(str(folder))
    assert (folder / "report.md").read_text() == "My own notes."
    report(str(folder), overwrite=True)
    report(str(folder), out=str(elsewhere))
    with pytest.raises(ValueError, match=r"elsewhere/report\.html exists; give another place, or --overwrite"):
        report(str(folder), out=str(elsewhere))
    report(str(folder), out=str(elsewhere), overwrite=True)
    assert (elsewhere / "report.html").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"grids": 0}, "grids=0 must be at least 1"),
        ({"interpolations": -1}, "interpolations=-1 must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, int], told: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    with pytest.raises(ValueError, match=told):
        report(str(folder), **options)


def test_a_file_is_no_folder_for_pages(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"out=page\.html must be a folder; give the folder for report\.html"):
        report(str(run_folder(tmp_path / "a")), out="page.html")


def test_what_is_no_run_or_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing is no folder of a run: it has no config\.yaml"):
        report(str(tmp_path / "nothing"))
    folder = run_folder(tmp_path / "a", gray=5)
    (folder / "samples" / "kimg_000012.500.png").write_bytes(b"half a pict")
    with pytest.raises(ValueError, match=r"kimg_000012\.500\.png cannot be read as an image"):
        report(str(folder))
    assert not (folder / "report.html").exists()
    folder = run_folder(tmp_path / "b", losses=[1.0, 2.0])
    (folder / "log.csv").write_text("step,loss\n1,0.5\n2,half\n")
    with pytest.raises(ValueError, match=r"b/log\.csv: loss='half' is no number; move the file away"):
        report(str(folder))


def test_numbers_that_are_not_finite_do_not_break_a_curve(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", losses=[1.0, float("inf"), float("nan"), 2.0])
    shown = written(folder)
    assert "Curve of generator/adversarial: a from 1 at 1 kimg to 2 at 4 kimg" in shown.source


# ------------------------------------------------------------------ in a browser

FRAME = """
<!DOCTYPE html>
<title>not measured</title>
<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  page.querySelectorAll("details").forEach((part) => {{ part.open = true; }});
  const images = [...page.images];
  document.title = JSON.stringify({{
    frame: document.querySelector("iframe").clientWidth,
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    broken: images.filter((image) => !image.complete || image.naturalWidth === 0).length,
    visible: images.filter((image) => image.getClientRects().length > 0).length,
    chosen: page.querySelector("output").textContent,
  }});
}});
</script>
"""
"""A page with another one in a frame, because windows of browsers have a smallest width."""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [360, 1600])
def test_a_browser_shows_all_pictures_and_the_page_is_no_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    long = config()
    long["model"]["init_args"]["a_setting_with_a_long_name_" * 4] = "a_value_without_a_space_" * 20
    folder = full_run(tmp_path / ("a_run_with_a_long_name_" * 4))
    (folder / "config.yaml").write_text(json.dumps(long))
    report(str(folder), interpolations=2)
    framed = FRAME.format(width=width, page=escape((folder / "report.html").read_text()))
    (tmp_path / "framed.html").write_text(framed)
    flags = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "dump-dom")
    command = [str(CHROMIUM), *(f"--{flag}" for flag in flags), "--window-size=1700,1000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "framed.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    found = json.loads(shown.partition("<title>")[2].partition("</title>")[0])
    assert found == {"frame": width, "overflow": 0, "broken": 0, "visible": 3, "chosen": "12.5 kimg"}
