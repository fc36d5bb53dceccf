"""Which checkpoint `validate` and `test` measure if the command line names none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import TINY, message_of, run, write

METRICS: dict[str, Any] = {
    "class_path": "lightning_gan.callbacks.PerceptualPathLength",
    "init_args": {
        "distance": "lightning_gan.metrics.DigitDistance",
        "pair_count": 4,
        "space": "z",
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("tiny.yaml", {**TINY, "trainer": {**TINY["trainer"], "max_steps": 1, "callbacks": [METRICS]}})


def records(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(Path(f"runs/tiny/{name}.json").read_text())
    return entries


def test_a_test_measures_the_last_checkpoint_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml")
    run("test --config tiny.yaml --trainer.limit_test_batches=1")
    assert "test: no --ckpt_path is given, so that the run's last checkpoint is measured" in capsys.readouterr().err
    fitted, tested = records("metrics")
    assert (tested["stage"], tested["checkpoint"], tested["kimg"]) == ("test", "checkpoints/last.ckpt", 0.008)
    assert tested["weights"] == fitted["weights"] and tested["metrics"] == fitted["metrics"]
    run("test --config tiny.yaml --ckpt_path none --trainer.limit_test_batches=1")
    assert "kimg 0: the weights are untrained, or were trained elsewhere" in capsys.readouterr().out
    assert records("metrics") == [fitted, tested]
    (untrained,) = records("metrics_of_other_weights")
    assert (untrained["checkpoint"], untrained["kimg"], untrained["trained_here"]) == (None, 0.0, False)


def test_a_test_without_a_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("test", "validate"):
        message = message_of(f"{command} --config tiny.yaml", capsys)
        assert "there is no checkpoint runs/tiny/checkpoints/last.ckpt; train first" in message
    assert not Path("runs").exists()
    assert "--ckpt_path none is for validate and test" in message_of("fit --config tiny.yaml --ckpt_path none", capsys)
