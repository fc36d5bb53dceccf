"""`--resume` continues a run if it has a whole checkpoint, and else begins it; what is not whole is said."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.command_line import TINY, message_of, run, trained_batches, write

LAST = Path("runs/tiny/checkpoints/last.ckpt")
PREVIOUS = LAST.with_name("previous.ckpt")


class Foreign:
    """Something that only unpickling can make."""


def trained_twice() -> None:
    """Leave a `last.ckpt` of four batches, and a `previous.ckpt` of two."""
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --resume --trainer.max_steps=4")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_a_bit_without_a_hash(path: Path) -> None:
    checkpoint = torch.load(path, weights_only=True)
    torch.save(checkpoint, path)
    weight = max(checkpoint["state_dict"].values(), key=torch.numel)
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)


def save_weights_only(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    del content["optimizer_states"], content["lr_schedulers"]
    torch.save(content, path)


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def saving(content: Any) -> Any:
    return lambda path: torch.save(content, path)


FAULTS: list[tuple[str, Any, str]] = [
    ("empty", lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    ("cut", cut_off, "is damaged"),
    ("flipped", flip_a_bit, "is damaged: its bytes are not those that were saved (sha256)"),
    ("flipped_old", flip_a_bit_without_a_hash, "in it has another checksum"),
    ("text", lambda path: path.write_text("weights"), "is not a file of torch.save, or it is damaged"),
    ("list", saving([1]), "contains a list and no checkpoint of a training"),
    ("state_dict", saving({"a": torch.zeros(2)}), "contains tensors alone (a plain state dict)"),
    ("other_program", saving({"model": {"a": torch.zeros(2)}, "epoch": 3}), "has no state_dict and is no checkpoint"),
    ("weights_only", save_weights_only, "has no optimizer_states: it was saved without the state of the training"),
    (
        "code",
        saving({"thing": Foreign()}),
        "contains a pickled tests.cli.test_resume.Foreign, which could run any code",
    ),
    ("folder", put_a_folder, "is a folder and not a sharded checkpoint"),
]


@pytest.mark.parametrize(("damage", "words"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_file_that_is_no_whole_checkpoint_is_one_line(
    damage: Any, words: str, capsys: pytest.CaptureFixture[str], trained: Path
) -> None:
    shutil.copytree(trained / "runs", "runs")
    PREVIOUS.unlink()
    damage(LAST)
    for option in (f"--ckpt_path {LAST}", "--ckpt_path last", "--resume"):
        message = message_of(f"fit --name tiny {option}", capsys)
        assert str(LAST) in message and words in message and "weights_only=False" not in message


def test_last_and_resume_skip_what_is_damaged_and_say_so(capsys: pytest.CaptureFixture[str], trained: Path) -> None:
    shutil.copytree(trained / "runs", "runs")
    flip_a_bit(LAST)
    capsys.readouterr()
    run("fit --name tiny --resume --trainer.max_steps=3")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("skipped: runs/tiny/checkpoints/last.ckpt is damaged")]
    assert f"the newest whole checkpoint is {PREVIOUS}" in lines
    assert trained_batches("tiny") == 3
    assert torch.load(PREVIOUS, weights_only=True)["global_step"] == 2  # not replaced by the damaged one


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `tiny`, of four batches."""
    here, folder = Path.cwd(), tmp_path_factory.mktemp("trained")
    os.chdir(folder)
    try:
        write("tiny.yaml", TINY)
        trained_twice()
    finally:
        os.chdir(here)
    return folder


@pytest.mark.parametrize("name", ["", " --name mine"])
def test_one_command_line_begins_and_goes_on(name: str) -> None:
    folder = name.removeprefix(" --name ") or "tiny"
    for steps in (2, 5, 5):
        run(f"fit --config tiny.yaml{name} --resume --trainer.max_steps={steps}")
        assert trained_batches(folder) == steps
    assert [path.name for path in Path("runs").iterdir()] == [folder]


def test_a_run_that_ended_before_its_first_checkpoint_begins_again(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml --name a")
    shutil.rmtree("runs/a/checkpoints")
    Path("runs/a/samples").mkdir()
    Path("runs/a/samples/0.png").touch()
    message = message_of("fit --config tiny.yaml --name a", capsys)
    assert "ended before its first checkpoint; begin it again with --resume" in message
    assert "`fit --resume` begins or goes on" in message_of("fit --name a --ckpt_path last", capsys)
    run("fit --name a --resume")  # with the settings that the run has saved
    assert trained_batches("a") == 2


def test_the_run_that_was_begun_last_is_resumed_if_no_name_is_given() -> None:
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --ckpt_path auto --trainer.max_steps=3")
    assert (trained_batches("tiny"), trained_batches("tiny-2")) == (2, 3)


def test_a_run_in_another_folder_is_resumed_there() -> None:
    for steps in (2, 4):
        run(f"fit --config tiny.yaml --trainer.default_root_dir=elsewhere --resume --trainer.max_steps={steps}")
    assert torch.load("elsewhere/checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit --resume", "--resume: the run is not known; give its --config or --name"),
        ("fit --config tiny.yaml --resume --ckpt_path a.ckpt", "--resume and --ckpt_path a.ckpt contradict each other"),
        ("test --config tiny.yaml --resume", "--resume is no option of test; --ckpt_path last takes"),
        ("test --config tiny.yaml --ckpt_path auto", "--ckpt_path auto is for fit alone"),
        (f"fit --config tiny.yaml --name {'a' * 300}", "the name has 300 bytes; give at most 200"),
        (f"fit --config tiny.yaml --ckpt_path {'a' * 300}", "File name too long; give an existing file"),
        (
            "fit --config tiny.yaml --name file",
            "this run cannot write to its folder runs/file: File exists: runs/file; make this possible, or choose",
        ),
        (
            f"fit --config tiny.yaml --trainer.default_root_dir={'a' * 300}",
            "File name too long",
        ),
    ],
)
def test_wrong_requests_are_one_line(arguments: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").mkdir()
    Path("runs/file").touch()
    assert words in message_of(arguments, capsys)
