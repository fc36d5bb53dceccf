"""Checkpoint files are whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.loop.checkpointing import AtomicCheckpointIO, CheckpointError
from tests.callbacks.training.growing_toys import growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(3), "kimg": 1.5}, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded["kimg"] == 1.5 and loaded["weights"].tolist() == [0, 1, 2]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.ckpt"]


def test_a_file_url_is_a_local_file(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint({"kimg": 1}, f"file://{tmp_path}/a.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "a.ckpt") == {"kimg": 1}


def test_other_file_systems_are_written_by_lightning() -> None:
    AtomicCheckpointIO().save_checkpoint({"kimg": 1}, "memory://runs/a.ckpt")
    assert AtomicCheckpointIO().load_checkpoint("memory://runs/a.ckpt") == {"kimg": 1}


def test_the_file_is_flushed_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("flush"), flush(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), rename(*names)))
    AtomicCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt")
    assert done == ["flush", "rename", "flush"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"kimg": 1}, path)

    def half(checkpoint: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint({"kimg": 2}, path)
    assert AtomicCheckpointIO().load_checkpoint(path) == {"kimg": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"kimg": 1}, path)
    program = f"""
import os, signal, torch
from lightning_gan.loop.checkpointing import AtomicCheckpointIO, CheckpointError
def half(checkpoint, file):
    file.write(b"half"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
AtomicCheckpointIO().save_checkpoint({{"kimg": 2}}, {str(path)!r})
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert AtomicCheckpointIO().load_checkpoint(path) == {"kimg": 1}
    AtomicCheckpointIO().save_checkpoint({"kimg": 3}, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]


class Foreign:
    """Something that only unpickling can make."""


def test_pickled_code_is_run_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"thing": Foreign()}, path)
    with pytest.raises(CheckpointError, match=r"contains a pickled .*Foreign, which could run any code"):
        AtomicCheckpointIO().load_checkpoint(path)
    assert isinstance(AtomicCheckpointIO().load_checkpoint(path, weights_only=False)["thing"], Foreign)


def test_a_trainer_saves_and_resumes_with_it(tmp_path: Path) -> None:
    module, again = toy_gan(), toy_gan()
    trainer = toy_trainer(plugins=[AtomicCheckpointIO()], limit_train_batches=2)
    trainer.fit(module, toy_loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    toy_trainer(plugins=[AtomicCheckpointIO()]).test(again, toy_loader(), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert equal(weights_of(module), weights_of(again)) and again.images_seen == 8


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.ckpt"):
        toy_trainer(plugins=[AtomicCheckpointIO()]).test(
            growing_gan(), toy_loader(), ckpt_path=tmp_path / "missing.ckpt"
        )
