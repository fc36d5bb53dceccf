"""The command `ema` with several lengths: each is measured by the run's own callbacks, and the best one is written."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import lightning_gan
from lightning_gan.callbacks import reconstructed_ema
from lightning_gan.cli.ema_sweep import Number, _name_among
from tests.cli.command_line import TINY, message_of, read, run, write

EVALUATION = {
    "class_path": "Evaluation",
    "init_args": {
        "extractor": {"class_path": "lightning_gan.metrics.DigitFeatures"},
        "fake_count": 100,
        "kernel_subset_size": 16,
    },
}


def train(*callbacks: dict[str, Any]) -> Path:
    """A run of two batches of 8 images with averages of each, and `callbacks`."""
    averages = {"class_path": "PowerFunctionEMA", "init_args": {"every_kimg": 0.008}}
    trainer = {**TINY["trainer"], "callbacks": [averages, {"class_path": "KimgCheckpoint"}, *callbacks]}
    write("averaged.yaml", {**TINY, "trainer": {**trainer, "max_steps": 3}})
    run("fit --config averaged.yaml")
    return Path("runs/averaged")


def measured(folder: Path, width: float) -> float:
    """The distance that `test` measures of one length."""
    run(f"ema {folder} one.ckpt --relative_width {width}")
    run(f"test --config {folder}/config.yaml --ckpt_path one.ckpt --trainer.default_root_dir one")
    (record,) = read("one/metrics.json")
    Path("one.ckpt").unlink()
    Path("one/metrics.json").unlink()
    return float(record["metrics"]["frechet_distance"])


@pytest.mark.slow
def test_each_length_is_measured_as_test_does_and_the_best_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(EVALUATION)
    before = (folder / "metrics.json").read_text()
    widths = (0.05, 0.1, 0.25)
    expected = {width: measured(folder, width) for width in widths}
    assert len(set(expected.values())) == 3
    best = min(expected, key=expected.__getitem__)
    capsys.readouterr()
    run(f"ema {folder} best.ckpt --relative_width [0.05,0.1,0.25] --metric frechet_distance")
    table = capsys.readouterr().out
    found = json.loads(Path("best-widths.json").read_text())
    assert (found["metric"], found["better"]) == ("metrics/frechet_distance", "less")
    assert {own["relative_width"]: own["metrics"]["frechet_distance"] for own in found["widths"]} == expected
    assert found["best_relative_width"] == best
    assert f"of the relative width {best:g} at 0.024 kimg" in table
    (marked,) = [line for line in table.splitlines() if line.endswith("best")]
    assert marked.startswith(f"{best:g} ") and "±" in marked
    tensors = reconstructed_ema(folder / "averages", relative_width=best).tensors
    for name, value in lightning_gan.load("best.ckpt").generator_ema.state_dict().items():
        assert torch.equal(value, tensors[name])
    run(f"ema {folder} varied.ckpt --relative_width [0.05,0.1,0.25] --metric recall")
    assert "(more is better)" in capsys.readouterr().out
    assert (folder / "metrics.json").read_text() == before  # the run's own records stay as they are

    run(f"ema {folder} {folder}/worst.ckpt --relative_width [0.05,0.1,0.25] --metric frechet_distance --better more")
    worst = json.loads((folder / "worst-widths.json").read_text())
    assert worst["best_relative_width"] == max(expected, key=expected.__getitem__)
    run(f"test --ckpt_path {folder}/worst.ckpt")  # beside the run's checkpoints, its settings are known
    assert max(expected.values()) in [own["metrics"]["frechet_distance"] for own in read(f"{folder}/metrics.json")]

    text = f"ema {folder} x.ckpt --relative_width [0.05,0.1]"
    assert message_of(f"{text} --metric frechet_distanc", capsys).startswith(
        "--metric frechet_distanc was not measured; give one of metrics/frechet_distance, metrics/frechet_floor"
    )
    assert "whether less or more of it is better is not known" in message_of(f"{text} --metric frechet_floor", capsys)
    assert "because no callback of the run monitors one; give for example --metric frechet" in message_of(text, capsys)
    assert not list(Path().glob("x*"))


@pytest.mark.slow
def test_without_a_metric_it_is_the_one_that_a_callback_monitors_and_its_mode_holds() -> None:
    monitor = {"monitor": "metrics/recall", "mode": "min"}
    folder = train(EVALUATION, {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": monitor})
    run(f"ema {folder} best.ckpt --relative_width [0.05,0.25]")
    found = json.loads(Path("best-widths.json").read_text())
    assert (found["metric"], found["better"]) == ("metrics/recall", "less")


@pytest.mark.slow
def test_a_run_that_measures_no_averages_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    folder = train()
    text = "--relative_width [0.05,0.1] --metric frechet_distance"
    assert "has no callback that measures in `test`; add one" in message_of(f"ema {folder} x.ckpt {text}", capsys)
    settings = read(f"{folder}/config.yaml")
    trained = {**EVALUATION, "init_args": {**EVALUATION["init_args"], "ema": False}}  # type: ignore[dict-item]
    settings["trainer"]["callbacks"].append(trained)
    write(f"{folder}/config.yaml", settings)
    assert "the run measures it with ema=false" in message_of(f"ema {folder} x.ckpt {text}", capsys)
    (folder / "config.yaml").unlink()
    assert "has no config.yaml of `fit`" in message_of(f"ema {folder} x.ckpt {text}", capsys)


def test_lengths_that_make_no_comparison_are_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in (
        ("--relative_width [0.1]", "must be two or more different numbers"),
        ("--relative_width [0.1,0.1]", "must be two or more different numbers"),
        ("--relative_width [0.1,0.5]", "relative_width=0.5 must be above 0 and below 0.289"),
        ("--relative_width 0.1 --metric recall", "--metric and --better compare several lengths, and"),
    ):
        assert text in message_of(f"ema runs/none x.ckpt {arguments}", capsys)


def test_a_metric_is_found_with_its_prefix_and_without_and_two_of_a_name_are_refused() -> None:
    number = Number(value=1.0, error=None, better=None, record={})
    names = {"metrics/recall": number, "metrics/precision": number, "others/precision": number}
    assert _name_among("recall", names) == _name_among("metrics/recall", names) == "metrics/recall"
    with pytest.raises(ValueError, match="precision was measured several times; give one of metrics/precision, others"):
        _name_among("precision", names)
