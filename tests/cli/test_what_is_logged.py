"""What a training prints and writes while it runs, and how a resumed one goes on with it."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from lightning_gan.cli import main
from lightning_gan.loop.csv_log import read_log
from tests.cli.command_line import TINY, run, write

ADVERTISING = ("Tip:", "GPU available", "FLOPs", "Seed set to", "litlogger", "Params size", "params")
"""Parts of Lightning's lines that say nothing to the user."""


def tiny(name: str, **trainer: Any) -> None:
    callbacks = [*TINY["trainer"]["callbacks"], {"class_path": "KimgCheckpoint", "init_args": {"every_kimg": 0.016}}]
    settings = {**TINY["trainer"], "callbacks": callbacks, "log_every_n_steps": 1, **trainer}
    del settings["logger"], settings["enable_model_summary"]
    write(name, {**TINY, "trainer": settings})


def test_a_run_that_was_killed_after_its_checkpoint_logs_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tiny("tiny.yaml", max_steps=4)
    run("fit --config tiny.yaml")
    checkpoints = Path("runs/tiny/checkpoints")
    (checkpoints / "previous.ckpt").replace(checkpoints / "last.ckpt")  # of 16 images; the rest is trained again
    run("fit --config tiny.yaml --resume --trainer.max_steps=6")
    rows = read_log(Path("runs/tiny/log.csv"))
    assert [row["step"] for row in rows] == ["8", "16", "24", "32", "40", "48"]
    events = reader.EventAccumulator("runs/tiny")
    events.Reload()
    assert [event.step for event in events.Scalars("discriminator/adversarial")] == [8, 16, 24, 32, 40, 48]
    assert {"scores/real", "signs/generator_gradient_norm", "memory/process_gib", "kimg"} <= rows[0].keys()
    shown = capsys.readouterr()
    assert not any(remark in shown.out + shown.err for remark in ADVERTISING)
    assert "model: StyleGAN; parameters: generator " in shown.err


def test_a_run_that_begins_again_keeps_the_table_of_the_one_before() -> None:
    tiny("tiny.yaml", enable_checkpointing=False, callbacks=[])
    run("fit --config tiny.yaml --name one")
    run("fit --config tiny.yaml --name one --resume")  # it has no checkpoint, and begins
    names = sorted(path.name for path in Path("runs/one").glob("log*.csv"))
    assert names == ["log.csv", "log_of_earlier_run_1.csv"]
    assert [[row["step"] for row in read_log(Path("runs/one") / name)] for name in names] == [["8", "16"]] * 2


def test_fit_ends_with_the_command_that_writes_a_page_about_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    tiny("tiny.yaml")
    main(["fit", "--config", "tiny.yaml", "--trainer.default_root_dir", "my runs/one"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "to write a page about this run: lightning-gan report 'my runs/one'"
    main(shlex.split(last.partition("lightning-gan ")[2]))
    page = Path("my runs/one/report.html").read_text()
    assert "<h1>one</h1>" in page and "StyleGAN on Digits, 16 images seen." in page and "Interpolations" in page
    main(["fit", "--config", "tiny.yaml", "--trainer.fast_dev_run", "1"])
    assert "lightning-gan report" not in capsys.readouterr().err
