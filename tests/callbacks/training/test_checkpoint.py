"""Checkpoints by images seen: when, under which names, and how a run finds them again."""

import errno
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gan.callbacks import EMA, KimgCheckpoint, ProgressiveGrowing, SampleGrid, StopAtKimg
from lightning_gan.loop import checkpointing
from lightning_gan.loop.checkpointing import AtomicCheckpointIO, CheckpointError
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData, assert_same_state, growing_gan
from tests.toys import toy_trainer


def train(
    root: Path,
    module: LightningModule,
    *callbacks: Callback,
    images: int,
    resume: str | Path | None = None,
    **settings: Any,
) -> Trainer:
    trainer = toy_trainer(
        *callbacks,
        StopAtKimg(total_kimg=images / 1000),
        default_root_dir=root,
        enable_checkpointing=True,
        max_epochs=-1,
        limit_val_batches=0,
        plugins=[AtomicCheckpointIO()],
        **settings,
    )
    trainer.fit(module, datamodule=ToyData(), ckpt_path=resume)
    return trainer


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "checkpoints").iterdir())


def kimg_of(path: Path) -> int:
    state = torch.load(path, weights_only=True)["state_dict"]
    return int(state["_counts"][0])


class Saves(Callback):
    """Writes down the images seen at every save."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.at.append(int(checkpoint["state_dict"]["_counts"][0]))


def test_it_saves_every_so_many_images_and_at_the_end(tmp_path: Path) -> None:
    saves = Saves()
    train(tmp_path, growing_gan(), saves, KimgCheckpoint(every_kimg=0.01), images=28)
    assert saves.at == [12, 20, 28]
    assert files(tmp_path) == ["last.ckpt", "previous.ckpt"]
    assert [kimg_of(tmp_path / "checkpoints" / name) for name in files(tmp_path)] == [28, 20]


def test_some_files_stay_under_names_that_sort_by_images(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=1.0, keep_every_kimg=0.008), images=20)
    assert files(tmp_path) == ["kimg_000000.008.ckpt", "kimg_000000.016.ckpt", "last.ckpt"]
    assert kimg_of(tmp_path / "checkpoints" / "kimg_000000.016.ckpt") == 16


def test_a_foreign_module_is_saved_by_its_images(tmp_path: Path) -> None:
    train(tmp_path, ForeignGAN(), KimgCheckpoint(every_kimg=1.0, keep_every_kimg=0.008), images=20)
    assert files(tmp_path) == ["kimg_000000.008.ckpt", "kimg_000000.016.ckpt", "last.ckpt"]


@pytest.mark.parametrize("cut", [8, 12, 20, 24])
def test_last_continues_bit_for_bit_with_all_callbacks(cut: int, tmp_path: Path) -> None:
    """At the end of a stage, within the fade, at its end, and after it."""

    def callbacks() -> list[Callback]:
        growing = ProgressiveGrowing(hold_kimg=0.008, fade_kimg=0.016)
        return [growing, EMA(), SampleGrid(rows=1, columns=1), KimgCheckpoint(every_kimg=0.004)]

    whole = train(tmp_path / "whole", growing_gan(), *callbacks(), images=32)
    train(tmp_path / "cut", growing_gan(), *callbacks(), images=cut)
    again = train(tmp_path / "cut", growing_gan(), *callbacks(), images=32, resume="last")
    assert_same_state(whole, again)
    assert files(tmp_path / "cut") == ["last.ckpt", "previous.ckpt"]


@pytest.mark.parametrize("batches", [1, 3, 4])
def test_a_crash_between_two_saves_goes_back_to_the_last_boundary(batches: int, tmp_path: Path) -> None:
    """What was written in the middle of an epoch continues exactly, too."""

    class Crash(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == batches:
                raise RuntimeError("power cut")

    whole = train(tmp_path / "whole", growing_gan(), EMA(), KimgCheckpoint(every_kimg=0.004), images=24)
    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "cut", growing_gan(), EMA(), KimgCheckpoint(every_kimg=0.004), Crash(), images=24)
    again = train(tmp_path / "cut", growing_gan(), EMA(), KimgCheckpoint(every_kimg=0.004), images=24, resume="last")
    assert_same_state(whole, again)


def test_resuming_a_finished_run_writes_nothing(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=12)
    before = (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=12, resume="last")
    assert files(tmp_path) == ["last.ckpt"] and (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_a_new_run_in_the_same_directory_keeps_the_old_one_aside(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=12)
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=8)
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=4)
    assert files(tmp_path) == ["earlier_run_1.ckpt", "earlier_run_2.ckpt", "last.ckpt"]
    assert [kimg_of(tmp_path / "checkpoints" / name) for name in files(tmp_path)] == [12, 8, 4]
    module = growing_gan()
    train(tmp_path, module, KimgCheckpoint(), images=4, resume="last")
    assert module.images_seen == 4


def test_a_second_fit_of_one_trainer_is_no_new_run(tmp_path: Path) -> None:
    trainer = toy_trainer(
        KimgCheckpoint(),
        default_root_dir=tmp_path,
        enable_checkpointing=True,
        max_steps=2,
        limit_val_batches=0,
        max_epochs=-1,
    )
    module = growing_gan()
    trainer.fit(module, datamodule=ToyData())
    trainer.fit_loop.epoch_loop.max_steps = 4
    trainer.fit(module, datamodule=ToyData())
    assert files(tmp_path) == ["last.ckpt", "previous.ckpt"]
    assert [kimg_of(tmp_path / "checkpoints" / name) for name in files(tmp_path)] == [16, 8]


def test_max_steps_ends_with_a_checkpoint_as_well(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(), images=1000, max_steps=3)
    assert kimg_of(tmp_path / "checkpoints" / "last.ckpt") == 12


def test_users_are_not_warned_about_what_is_right(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.004), images=12)
        train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.004), images=16, resume="last")
    texts = [str(warning.message) for warning in caught]
    assert not [text for text in texts if "heckpoint" in text and "not resumable" not in text]


def test_a_trial_run_leaves_no_files(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.004), images=12, fast_dev_run=2)
    assert not (tmp_path / "checkpoints").exists()


def test_saving_leaves_training_as_it_is(tmp_path: Path) -> None:
    saved, unsaved = growing_gan(), growing_gan()
    train(tmp_path / "a", saved, KimgCheckpoint(every_kimg=0.004), images=12)
    train(tmp_path / "b", unsaved, KimgCheckpoint(every_kimg=1.0), images=12)
    torch.testing.assert_close(dict(saved.state_dict()), dict(unsaved.state_dict()), rtol=0, atol=0)


def test_intervals_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"every_kimg=0\.0"):
        KimgCheckpoint(every_kimg=0.0)
    with pytest.raises(ValueError, match=r"keep_every_kimg=-1\.0"):
        KimgCheckpoint(keep_every_kimg=-1.0)


def test_without_previous_there_is_one_file(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.01, keep_previous=False), images=28)
    assert files(tmp_path) == ["last.ckpt"]


class FromBatch(Callback):
    """Calls a function with the module at the start of a batch."""

    def __init__(self, batch: int, act: Any) -> None:
        self.batch, self.act = batch, act

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch:
            self.act(pl_module)


def poison(module: Any) -> None:
    with torch.no_grad():
        next(module.generator.parameters()).fill_(float("nan"))


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")
def test_a_checkpoint_that_is_not_finite_replaces_nothing(tmp_path: Path) -> None:
    """Neither ours, nor that of another callback."""
    theirs = ModelCheckpoint(dirpath=tmp_path / "checkpoints", filename="theirs", every_n_train_steps=1)
    with pytest.raises(
        ValueError, match=r"is nan at 0\.008 kimg|is not finite at kimg 0\.012"
    ):  # the loop sees it, too
        train(tmp_path, growing_gan(), FromBatch(2, poison), theirs, KimgCheckpoint(every_kimg=0.004), images=28)
    for path in (tmp_path / "checkpoints").iterdir():
        assert all(tensor.isfinite().all() for tensor in torch.load(path, weights_only=True)["state_dict"].values())
    assert kimg_of(tmp_path / "checkpoints" / "last.ckpt") == 8


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.ckpt.new.unfinished")


def test_training_goes_on_after_a_failed_save_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = FromBatch(1, lambda _: monkeypatch.setattr(checkpointing, "save_with_hash", full))
    mend = FromBatch(3, lambda _: monkeypatch.undo())
    words = r"last.ckpt could not be written at kimg 0.0\d\d: No space left on device.* training goes on, and the next"
    with pytest.warns(UserWarning, match=words) as warned:
        train(tmp_path, growing_gan(), fail, mend, KimgCheckpoint(every_kimg=0.004), images=28)
    assert len([one for one in warned if "training goes on" in str(one.message)]) == 2
    assert files(tmp_path) == ["last.ckpt", "previous.ckpt"] and kimg_of(tmp_path / "checkpoints" / "last.ckpt") == 28


@pytest.mark.parametrize("stops", [False, True], ids=["at_the_end", "by_its_setting"])
def test_a_failed_save_is_an_error_at_the_end_or_by_a_setting(
    stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = FromBatch(2, lambda _: monkeypatch.setattr(checkpointing, "save_with_hash", full))
    every = 0.004 if stops else 0.02
    words = "at kimg 0.012" if stops else "at kimg 0.016"
    with pytest.raises(CheckpointError, match=rf"could not be written {words}: No space left.*go on with --resume"):
        train(tmp_path, growing_gan(), fail, KimgCheckpoint(every_kimg=every, stop_on_failed_save=stops), images=16)
    assert files(tmp_path) == (["last.ckpt", "previous.ckpt"] if stops else [])


def test_a_folder_that_vanishes_is_made_again_and_said(tmp_path: Path) -> None:
    vanish = FromBatch(3, lambda _: shutil.rmtree(tmp_path / "checkpoints"))
    with pytest.warns(UserWarning, match="checkpoints has vanished in training; it is made again"):
        train(tmp_path, growing_gan(), vanish, KimgCheckpoint(every_kimg=0.008), images=28)
    assert kimg_of(tmp_path / "checkpoints" / "last.ckpt") == 28


def test_a_file_in_the_place_of_the_folder_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    module = growing_gan()
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be written to .*: File exists: .*make the folder"):
        train(tmp_path, module, KimgCheckpoint(), images=12)
    assert module.images_seen == 0


def test_last_skips_a_damaged_file_and_keeps_it_apart(tmp_path: Path) -> None:
    train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.004), images=12)
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"skipped a checkpoint: .*last.ckpt is damaged"):
        train(tmp_path, growing_gan(), KimgCheckpoint(every_kimg=0.008), images=16, resume="last")
    assert files(tmp_path) == ["earlier_run_1.ckpt", "last.ckpt", "previous.ckpt"]
    assert [kimg_of(tmp_path / "checkpoints" / name) for name in ("last.ckpt", "previous.ckpt")] == [16, 8]
