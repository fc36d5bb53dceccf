"""A signal ends a batch in which turns are compiled, and the state is that after the batch before.

Nothing is compiled here: `tests/loop/test_compile_signal.py` does it.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from lightning_gan.callbacks import EMA, R1, KimgCheckpoint, ProgressiveGrowing, StopAtKimg, StopOnSignal
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from lightning_gan.loop.settings import Training
from tests.callbacks.training.growing_toys import ToyData, assert_same_state, growing_gan
from tests.toys import FAST, fast_adam, toy_trainer

COMPILED = Training(compile=True, generator_optimizer=fast_adam, discriminator_optimizer=fast_adam)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None] | None]:
    """What happens at the start of each compiled turn, from the first one on; eager code runs then."""
    acts: list[Callable[[], None] | None] = []

    def compiled(cost: Any, **settings: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if acts and (act := acts.pop(0)) is not None:
                act()
            return cost(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    return acts


def train(
    root: Path,
    *callbacks: Callback,
    saves: bool = True,
    resume: str | None = None,
    training: Training = COMPILED,
) -> Trainer:
    """Eight batches of four images, of which the last four are of 8x8 pixels; R1 is due in every second one.

    The kinds of turns are new in batch 0 (both turns), 1 (the discriminator's), 4 (both), 5 (the discriminator's).
    """
    trainer = toy_trainer(
        *([KimgCheckpoint(every_kimg=1.0)] if saves else []),
        StopOnSignal(),
        ProgressiveGrowing(start_resolution=4, hold_kimg=0.016, fade_kimg=0.032),
        R1(gamma=1.0, every_n_turns=2),
        EMA(),
        StopAtKimg(total_kimg=0.032),
        *callbacks,
        default_root_dir=root,
        enable_checkpointing=saves,
        max_epochs=-1,
        limit_val_batches=0,
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(growing_gan(training), datamodule=ToyData(), ckpt_path=resume)
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A training that nothing ended."""
    return train(tmp_path_factory.mktemp("whole"), training=FAST)


@pytest.mark.parametrize(("turn", "batches"), [(0, 0), (1, 0), (2, 1), (3, 1), (8, 4), (9, 4), (10, 5)])
def test_a_signal_ends_the_batch_at_once_and_the_run_goes_on_bit_for_bit(
    whole: Trainer, turns: list[Any], turn: int, batches: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    turns[:] = [None] * turn + [terminate]
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path)
    assert stopped.value.code == 75 and turns == []
    said = capfd.readouterr().err
    assert "SIGTERM: leaving this batch, which compiles (twice: stop at once)" in said
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert f"stopped by SIGTERM: saved {path}; go on with: " in said
    assert AtomicCheckpointIO().load_checkpoint(path)["global_step"] == batches
    assert_same_state(whole, train(tmp_path, resume="last"))


@pytest.mark.parametrize(("turn", "batches"), [(4, 3), (13, 7)])
def test_a_batch_of_known_turns_is_finished(turns: list[Any], turn: int, batches: int, tmp_path: Path) -> None:
    turns[:] = [None] * turn + [terminate]
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path)
    assert stopped.value.code == 75
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == batches


def test_a_signal_that_came_before_the_batch_starts_no_compilation(turns: list[Any], tmp_path: Path) -> None:
    class Early(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            terminate()

    reached: list[bool] = []
    turns[:] = [lambda: reached.append(True)]
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, Early())
    assert stopped.value.code == 75 and reached == []


def test_without_a_checkpoint_callback_the_code_says_that_nothing_was_saved(
    turns: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    turns[:] = [terminate]
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, saves=False)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert "nothing was saved, because the trainer has no KimgCheckpoint" in capfd.readouterr().err


def test_a_batch_whose_state_could_not_be_saved_is_finished(turns: list[Any], tmp_path: Path) -> None:
    """After it the state is not lost, because the disk may have room again."""

    def fill(trainer: Trainer, path: str, **_: Any) -> str:
        return "no space left"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_gan.callbacks.training.checkpoint.save_together", fill)

        def terminate_with_room() -> None:
            patch.undo()
            terminate()

        turns[:] = [terminate_with_room]
        with pytest.warns(UserWarning, match="last.ckpt could not be written at kimg 0.000: no space left"):
            with pytest.raises(SystemExit):
                train(tmp_path)
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 1


def test_a_resumed_run_keeps_the_checkpoint_of_an_earlier_batch(turns: list[Any], tmp_path: Path) -> None:
    """Its first batch compiles, and saves what is in `last.ckpt` already."""
    for turn, resume in ((4, None), (0, "last")):
        turns[:] = [None] * turn + [terminate]
        with pytest.raises(SystemExit):
            train(tmp_path, resume=resume)
    load = AtomicCheckpointIO().load_checkpoint
    assert load(tmp_path / "checkpoints" / "previous.ckpt")["global_step"] == 1
    assert load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 3
