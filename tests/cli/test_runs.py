"""Where a training writes, and what goes on from a checkpoint."""

import os
from pathlib import Path

import pytest
import torch

from lightning_gan.cli.runs import last_checkpoint, new_run, run_of_checkpoint
from tests.cli.command_line import message_of, read, run, trained_batches


def test_a_fit_leaves_its_settings_and_last_checkpoint_in_the_folder_of_its_run() -> None:
    run("fit --config tiny.yaml")
    assert trained_batches("tiny") == 2
    assert read("runs/tiny/config.yaml")["data"]["init_args"]["image_size"] == 8
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]


def test_a_saved_configuration_trains_the_same_again() -> None:
    run("fit --config tiny.yaml --seed_everything=7")
    run("fit --config runs/tiny/config.yaml")
    assert read("runs/tiny-2/config.yaml") == read("runs/tiny/config.yaml")
    first, second = (
        torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for name in ("tiny", "tiny-2")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_second_fit_does_not_touch_what_the_first_has_saved() -> None:
    run("fit --config tiny.yaml")
    before = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    run("fit --config tiny.yaml --seed_everything=1")
    assert {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()} == before
    assert trained_batches("tiny-2") == 2


def test_a_name_that_was_asked_for_is_not_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml --name mine")
    message = message_of("fit --config tiny.yaml --name mine", capsys)
    assert message.startswith("runs/mine holds an earlier run") and "continue it with --resume" in message


def test_a_folder_in_which_training_never_began_is_used_again() -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/config.yaml").touch()
    assert new_run("a", keep_name=True) == Path("runs/a")


WHOLE = {"state_dict": {}, "loops": {}, "optimizer_states": [], "lr_schedulers": []}


def test_last_is_the_newest_of_the_runs_with_a_name(folder: Path) -> None:
    for name, age in (("a", 3), ("a-2", 1), ("a-10", 2), ("a-b", 0)):
        path = Path("runs") / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        torch.save(WHOLE, path)
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert last_checkpoint("a", keep_name=False) == Path("runs/a-2/checkpoints/last.ckpt")
    assert last_checkpoint("a", keep_name=True) == Path("runs/a/checkpoints/last.ckpt")
    assert new_run("a", keep_name=False) == Path("runs/a-3")


def test_training_goes_on_in_the_folder_of_its_checkpoint() -> None:
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --ckpt_path last --trainer.max_steps=5")
    assert trained_batches("tiny") == 5
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]
    assert read("runs/tiny/config.yaml")["ckpt_path"] is None


def test_another_name_branches_off_a_checkpoint() -> None:
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --name branch --ckpt_path runs/tiny/checkpoints/last.ckpt --trainer.max_steps=3")
    assert (trained_batches("tiny"), trained_batches("branch")) == (2, 3)


def test_testing_needs_nothing_but_a_checkpoint_and_writes_nothing() -> None:
    run("fit --config tiny.yaml")
    before = sorted(path for path in Path("runs").rglob("*"))
    run("test --ckpt_path runs/tiny/checkpoints/last.ckpt --trainer.limit_test_batches=1")
    run("validate --name tiny --ckpt_path last --trainer.limit_val_batches=1")
    assert sorted(path for path in Path("runs").rglob("*")) == before


def test_a_checkpoint_belongs_to_the_run_whose_folder_it_lies_in() -> None:
    (Path("runs/one/checkpoints")).mkdir(parents=True)
    assert run_of_checkpoint(Path("runs/one/checkpoints/last.ckpt")) is None  # there are no settings
    for folder in ("runs/one", "."):
        Path(folder, "config.yaml").touch()
    one = Path("runs/one")
    assert run_of_checkpoint(one / "checkpoints" / "last.ckpt") == run_of_checkpoint(one / "best.ckpt") == one
    assert run_of_checkpoint(Path("best.ckpt")) is None  # a config.yaml alone is no run
