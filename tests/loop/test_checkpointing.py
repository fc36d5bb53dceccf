"""Checkpoint files are whole or not there."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_gan.loop.checkpoint_hash import write_hashes
from lightning_gan.loop.checkpointing import (
    AtomicCheckpointIO,
    CheckpointError,
    FoundCheckpoint,
    newest_whole_checkpoint,
    read_checkpoint,
)
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


def test_a_full_disk_is_named_as_the_cause(tmp_path: Path) -> None:
    """torch reports a wrong position in its place."""
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(10)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert AtomicCheckpointIO().load_checkpoint(path)["weights"].tolist() == [0.0] * 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]


WHOLE: dict[str, Any] = {
    "state_dict": {"a": torch.arange(20.0)},
    "loops": {},
    "optimizer_states": [],
    "lr_schedulers": [],
}


def test_every_flipped_bit_and_every_missing_end_is_detected(tmp_path: Path) -> None:
    path, damaged = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    AtomicCheckpointIO().save_checkpoint(WHOLE, path)
    content = path.read_bytes()
    places = [*range(0, len(content), 37), *range(len(content) - 120, len(content))]
    for place in places:
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"b\.ckpt is "):
            read_checkpoint(damaged, for_training=True)
        damaged.write_bytes(content[:place])
        with pytest.raises(CheckpointError, match=r"b\.ckpt is "):
            read_checkpoint(damaged, for_training=True)


def test_a_file_with_a_hash_is_a_file_of_torch_and_of_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint(WHOLE, path)
    for mmap in (False, True):
        assert torch.equal(torch.load(path, weights_only=True, mmap=mmap)["state_dict"]["a"], torch.arange(20.0))
    assert torch.equal(TorchCheckpointIO().load_checkpoint(path)["state_dict"]["a"], torch.arange(20.0))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.comment.startswith(b"lightning_gan sha256=")


def test_a_file_without_a_hash_is_believed_if_its_checksums_are_right(tmp_path: Path) -> None:
    torch.save(WHOLE, tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt", for_training=True)["loops"] == {}


def test_the_newest_whole_checkpoint_is_found_and_skipped_ones_are_named(tmp_path: Path) -> None:
    assert newest_whole_checkpoint(tmp_path / "none") == FoundCheckpoint(path=None, skipped=())
    names = ["best.ckpt", "kimg_000001.000.ckpt", "kimg_000002.000.ckpt", "previous.ckpt", "last.ckpt"]
    for age, name in enumerate([*names, "earlier_run_1.ckpt"]):
        AtomicCheckpointIO().save_checkpoint(WHOLE, tmp_path / name)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    os.utime(tmp_path / "best.ckpt", (5000, 5000))
    for broken, name in enumerate(["last.ckpt", "previous.ckpt", "kimg_000002.000.ckpt", *names[1::-1]]):
        found = newest_whole_checkpoint(tmp_path)
        assert found.path == tmp_path / name and len(found.skipped) == broken
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-20])
        os.utime(tmp_path / name, (9000 - broken, 9000 - broken))
    found = newest_whole_checkpoint(tmp_path)
    assert found.path is None and all("is damaged" in reason for reason in found.skipped) and len(found.skipped) == 5


def sharded(path: Path) -> Path:
    """A folder like that of a sharded checkpoint, with its list of hashes."""
    path.mkdir()
    torch.save({"state_dict": {}, "loops": {}}, path / "meta.pt")
    for name in (".metadata", "__0_0.distcp", "__1_0.distcp"):
        (path / name).write_bytes(os.urandom(500))
    write_hashes(path)
    return path


def test_a_sharded_checkpoint_is_believed_only_if_all_its_files_are_as_they_were_saved(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "last.ckpt")
    read_checkpoint(folder, for_training=True)
    for path in [path for path in folder.iterdir() if path.name != "sha256.txt"]:
        content = path.read_bytes()
        for other in (content[:-1], content[:40] + bytes([content[40] ^ 1]) + content[41:]):
            path.write_bytes(other)
            with pytest.raises(CheckpointError, match=rf"last\.ckpt is damaged: {path.name} is not what was saved"):
                read_checkpoint(folder, for_training=True)
            assert newest_whole_checkpoint(tmp_path).path is None
        path.write_bytes(content)
    (folder / "__1_0.distcp").unlink()
    with pytest.raises(CheckpointError, match=r"__1_0\.distcp is not what was saved"):
        read_checkpoint(folder, for_training=True)
    (folder / "sha256.txt").unlink()  # of Lightning alone
    read_checkpoint(folder, for_training=True)


def test_a_list_of_hashes_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "last.ckpt")
    (tmp_path / "other").write_bytes(b"")
    (folder / "sha256.txt").write_text(f"{hashlib.sha256(b'').hexdigest()}  ../other\n")
    with pytest.raises(CheckpointError, match=r"sha256\.txt is not what was saved"):
        read_checkpoint(folder, for_training=True)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"kimg": 1}, path)
    program = f"""
import os, signal, torch
from lightning_gan.loop.checkpoint_hash import write_hashes
from lightning_gan.loop.checkpointing import (
    AtomicCheckpointIO,
    CheckpointError,
    FoundCheckpoint,
    newest_whole_checkpoint,
    read_checkpoint,
)
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
