"""Training ends after the batch in which a signal comes, and goes on bit for bit."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import EMA, KimgCheckpoint, StopAtKimg, StopOnSignal
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from tests.callbacks.training.growing_toys import ToyData, assert_same_state, growing_gan
from tests.toys import toy_trainer


class AtBatch(Callback):
    """Calls a function at the start of a batch."""

    def __init__(self, batch: int, act: Any) -> None:
        self.batch, self.act = batch, act

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch:
            self.act()


def kill(number: int) -> Any:
    return lambda: os.kill(os.getpid(), number)


def train(root: Path, *callbacks: Callback, saves: bool = True, resume: str | None = None) -> Trainer:
    """Seven batches of four images. The callback that saves at the end of them comes before the others."""
    checkpoints = [KimgCheckpoint(every_kimg=1.0)] if saves else []
    trainer = toy_trainer(
        *checkpoints,
        StopOnSignal(),
        *callbacks,
        EMA(),
        StopAtKimg(total_kimg=0.028),
        default_root_dir=root,
        enable_checkpointing=saves,
        max_epochs=-1,
        limit_val_batches=0,
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(growing_gan(), datamodule=ToyData(), ckpt_path=resume)
    return trainer


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGUSR2, 75), (signal.SIGHUP, 75), (signal.SIGINT, 130)],
)
def test_a_signal_saves_after_its_batch_and_the_run_goes_on_bit_for_bit(
    number: signal.Signals, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {known: signal.getsignal(known) for known in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path / "cut", AtBatch(2, kill(number)))
    assert stopped.value.code == code
    assert {known: signal.getsignal(known) for known in before} == before
    said = capfd.readouterr().err
    assert f"{number.name}: saving after this batch" in said
    path = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    assert f"stopped by {number.name}: saved {path}; go on with: trainer.fit(..., ckpt_path={path})" in said
    assert AtomicCheckpointIO().load_checkpoint(path)["global_step"] == 3
    assert_same_state(train(tmp_path / "whole"), train(tmp_path / "cut", resume="last"))


def test_without_a_checkpoint_callback_the_code_says_that_nothing_was_saved(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, AtBatch(2, kill(signal.SIGTERM)), saves=False)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert "nothing was saved, because the trainer has no KimgCheckpoint" in capfd.readouterr().err


def test_a_second_signal_of_the_same_kind_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, killed, now = StopOnSignal(), [], [0.0]
    monkeypatch.setattr("lightning_gan.callbacks.training.stop_on_signal.time.monotonic", lambda: now[0])
    monkeypatch.setattr(signal, "signal", lambda number, handler: killed.append((number, handler)))
    monkeypatch.setattr(os, "kill", lambda process, number: killed.append((process, number)))
    stop._process = os.getpid()
    for moment, number in ((0.0, signal.SIGINT), (0.5, signal.SIGINT), (5.0, signal.SIGTERM)):
        now[0] = moment
        stop._receive(number, None)
    assert killed == []  # one Ctrl-C that came twice, and another signal
    stop._receive(signal.SIGINT, None)
    assert killed == [(signal.SIGINT, signal.SIG_DFL), (os.getpid(), signal.SIGINT)]


def test_a_time_limit_stops_like_a_signal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trainer = toy_trainer(
        StopOnSignal(limit_minutes=1e-9),
        KimgCheckpoint(),
        default_root_dir=tmp_path,
        enable_checkpointing=True,
        limit_val_batches=0,
        max_epochs=-1,
        max_steps=100,
    )
    with pytest.raises(SystemExit) as stopped:
        trainer.fit(growing_gan(), datamodule=ToyData())
    assert stopped.value.code == 75 and "stopped by limit_minutes=1e-09: saved " in capfd.readouterr().err
    assert trainer.global_step == 1


def test_a_job_of_slurm_is_requeued_after_its_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with pytest.raises(SystemExit):
        train(tmp_path, AtBatch(1, kill(signal.SIGUSR1)))
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    assert "SLURM job 17 was requeued" in capfd.readouterr().err


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        assert train(tmp_path, AtBatch(2, kill(signal.SIGHUP))).global_step == 7
    finally:
        signal.signal(signal.SIGHUP, before)


class Interrupted(ToyData):
    """Data that end with an error after three batches."""

    def train_dataloader(self) -> Any:
        loader = super().train_dataloader()

        def batches() -> Any:
            for index, batch in enumerate(loader):
                if index == 3:
                    raise OSError("the network drive has gone")
                yield batch

        class Stream:
            __iter__ = staticmethod(batches)

        return Stream()


def test_an_error_between_two_batches_saves_what_is_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trainer = toy_trainer(
        StopOnSignal(),
        KimgCheckpoint(),
        default_root_dir=tmp_path,
        enable_checkpointing=True,
        limit_val_batches=0,
        max_steps=7,
        max_epochs=-1,
    )
    with pytest.raises(OSError, match="the network drive has gone"):
        trainer.fit(growing_gan(), datamodule=Interrupted())
    saved = AtomicCheckpointIO().load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert 1 <= saved["global_step"] <= 3
    assert "OSError between two batches: saved " in capfd.readouterr().err


def test_an_error_in_a_step_saves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise ArithmeticError("in a step")

    with pytest.raises(ArithmeticError):
        train(tmp_path, AtBatch(2, fail))
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("settings", [{"limit_minutes": 0.0}, {"silence_seconds": -1.0}])
def test_times_of_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"StopOnSignal: \w+=-?[01].0 must be positive"):
        StopOnSignal(**settings)
