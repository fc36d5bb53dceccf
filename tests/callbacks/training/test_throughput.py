"""The pace and the memory of training, as logged numbers."""

import time
from typing import Any

import psutil
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import Throughput
from lightning_gan.callbacks.training import throughput
from lightning_gan.callbacks.training.pauses import pausing
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


class Clock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Batches(Callback):
    """Lets time pass: 2 seconds in each batch, and 50 more in a pause of each."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.logged: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.clock.now += 2.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        with pausing(trainer, "Measurement"):
            self.clock.now += 50.0


class Sees(Callback):
    """Keeps what was logged after each batch."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_the_pace_is_that_of_training_without_pauses_and_without_the_first_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, sees = Clock(), Sees()
    monkeypatch.setattr(throughput, "time", clock)
    trainer = toy_trainer(Batches(clock), Throughput(), sees, limit_train_batches=6, log_every_n_steps=3)
    trainer.fit(toy_gan(), toy_loader(batch_size=4))
    paces = [numbers.get("speed/seconds_per_kimg") for numbers in sees.seen]
    # A batch takes 2 seconds for 4 images.
    assert paces == [None, None, 500.0, 500.0, 500.0, 500.0]
    assert sees.seen[-1]["speed/images_per_second"] == 2.0


def test_the_memory_is_that_of_the_process() -> None:
    trainer = toy_trainer(Throughput(), limit_train_batches=3)
    trainer.fit(toy_gan(), toy_loader())
    resident = psutil.Process().memory_info().rss / 2**30
    assert trainer.callback_metrics["memory/process_gib"].item() == pytest.approx(resident, rel=0.2)
    assert "memory/gpu_peak_gib" not in trainer.callback_metrics
    assert trainer.callback_metrics["speed/seconds_per_kimg"] > 0


def test_it_works_in_other_modules_and_leaves_training_as_it_is() -> None:
    module, alone = ForeignGAN(), ForeignGAN()
    trainer = toy_trainer(Throughput(), limit_train_batches=3, limit_val_batches=0)
    trainer.fit(module, datamodule=ToyData())
    assert trainer.callback_metrics["speed/images_per_second"] > 0
    toy_trainer(limit_train_batches=3, limit_val_batches=0).fit(alone, datamodule=ToyData())
    assert equal(weights_of(module), weights_of(alone))


def test_a_pause_ends_with_an_error_too() -> None:
    watcher = Throughput()
    trainer = toy_trainer(watcher)
    trainer.strategy.connect(toy_gan())
    with pytest.raises(KeyError):
        with pausing(trainer, "Measurement"):
            time.sleep(0.01)
            raise KeyError
    assert watcher._paused_seconds >= 0.01 and watcher._paused_at is None


def test_a_second_one_is_refused() -> None:
    with pytest.raises(ValueError, match="Throughput: the trainer has 2 of them"):
        toy_trainer(Throughput(), Throughput()).fit(toy_gan(), toy_loader())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_is_logged() -> None:
    trainer = toy_trainer(Throughput(), limit_train_batches=3, accelerator="gpu", devices=1)
    trainer.fit(toy_gan(), toy_loader())
    assert trainer.callback_metrics["memory/gpu_peak_gib"] > 0
