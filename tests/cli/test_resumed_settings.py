"""A setting that a resume changes is used and said, or refused without touching the run."""

from pathlib import Path

import pytest
import torch

from tests.cli.command_line import message_of, read, run, write


def test_a_new_rate_is_used_said_and_saved(capfd: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml")
    run("fit --name tiny --ckpt_path last --trainer.max_steps 3 --model.training.generator_optimizer.lr 0.01")
    discriminator, generator = torch.load("runs/tiny/checkpoints/last.ckpt", weights_only=True)["optimizer_states"]
    assert generator["param_groups"][0]["lr"] == 0.01 and discriminator["param_groups"][0]["lr"] == 0.001
    assert "model.training.generator_optimizer.lr=0.01 (was 0.001)" in capfd.readouterr().err
    saved = read("runs/tiny/config.yaml")["model"]["init_args"]["training"]
    assert saved["generator_optimizer"]["init_args"]["lr"] == 0.01


def test_what_does_not_fit_a_checkpoint_is_named_and_leaves_the_run_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("fit --config tiny.yaml")
    before = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    go_on = "fit --name tiny --ckpt_path last --trainer.max_steps 4"
    assert "channel_max=8 here and channel_max=4 in the checkpoint" in message_of(
        f"{go_on} --model.channel_max 8", capsys
    )
    optimizer = "--model.training.generator_optimizer torch.optim.SGD --model.training.generator_optimizer.lr 0.1"
    assert "SGD, but the checkpoint was trained with GANAdam" in message_of(f"{go_on} {optimizer}", capsys)
    assert "image_size=16" in message_of(f"{go_on} --data.image_size 16", capsys)
    assert before == {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}


def test_a_changed_setting_of_the_data_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml")
    run("fit --name tiny --ckpt_path last --trainer.max_steps 3 --data.batch_size 16")
    assert "data.batch_size=16 (was 8)" in capsys.readouterr().err


def test_callbacks_that_a_later_list_replaces_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write("more.yaml", {"trainer": {"callbacks+": [{"class_path": "EMA"}]}})
    run("fit --config tiny.yaml --config more.yaml --trainer.callbacks=R2 --trainer.callbacks.gamma=1")
    printed = capsys.readouterr().err
    assert "trainer.callbacks: the later list replaces R1, EMA, which will not run" in printed
    run("fit --config tiny.yaml --config more.yaml --name b")
    assert "replaces" not in capsys.readouterr().err
