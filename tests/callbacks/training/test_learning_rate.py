"""Learning rates are the optimizers' own times a pure function of images seen."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import LearningRate
from lightning_gan.schedules.rates import Constant, LinearDecay, RampUp
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


class Rates(Callback):
    """Writes down the rates that every batch is played with, in the order of the optimizers."""

    def __init__(self) -> None:
        self.pages: list[list[float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.pages.append([own.param_groups[0]["lr"] for own in trainer.optimizers])


def test_every_batch_has_the_rate_of_the_images_seen_before_it() -> None:
    rates = Rates()
    fit(growing_gan(), LearningRate(schedules=[LinearDecay(end_kimg=0.016)]), rates, images=16)
    assert rates.pages == [[0.02, 0.02], [0.015, 0.015], [0.01, 0.01], [0.005, 0.005]]


def test_several_schedules_multiply() -> None:
    schedule = LearningRate(schedules=[RampUp(kimg=0.02), LinearDecay(start_kimg=0.01, end_kimg=0.02)])
    assert [schedule.factor_at(seen) for seen in (0, 10, 15, 20)] == pytest.approx([0, 0.5, 0.375, 0])


def test_players_can_have_schedules_of_their_own() -> None:
    rates = Rates()
    halved = LearningRate(schedules=[Constant(factor=0.5)], network="discriminator")
    decay = LearningRate(schedules=[LinearDecay(end_kimg=0.008)], network="generator")
    fit(growing_gan(), halved, decay, rates, images=8)
    assert rates.pages == [[0.01, 0.02], [0.01, 0.01]]


def test_a_foreign_module_is_scheduled_by_the_names_of_its_networks() -> None:
    rates = Rates()
    decay = LearningRate(schedules=[LinearDecay(end_kimg=0.008)], network="netD")
    fit(ForeignGAN(), decay, rates, images=8)
    assert rates.pages == [[0.02, 0.02], [0.02, 0.01]]


def test_it_changes_the_update() -> None:
    still, moving = toy_gan(), toy_gan()
    start = weights_of(still)
    toy_trainer(LearningRate(schedules=[Constant(factor=0.0)]), limit_train_batches=2).fit(still, toy_loader())
    toy_trainer(LearningRate(schedules=[Constant()]), limit_train_batches=2).fit(moving, toy_loader())
    assert equal(weights_of(still), start) and not equal(weights_of(moving), start)


def test_a_factor_of_one_changes_nothing() -> None:
    alone, scheduled = toy_gan(), toy_gan()
    toy_trainer(limit_train_batches=3).fit(alone, toy_loader())
    toy_trainer(LearningRate(schedules=[Constant()]), limit_train_batches=3).fit(scheduled, toy_loader())
    assert equal(weights_of(alone), weights_of(scheduled))


def test_a_resumed_run_multiplies_the_same_rate(tmp_path: Path) -> None:
    def decay() -> LearningRate:
        return LearningRate(schedules=[LinearDecay(end_kimg=0.03)])

    whole = fit(growing_gan(), decay(), images=24)
    fit(growing_gan(), decay(), images=12, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(growing_gan(), decay(), images=24, resume=tmp_path / "cut.ckpt"))
    torch.load(tmp_path / "cut.ckpt", weights_only=True)


def test_a_network_without_an_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match="no optimizer has parameters of network='generator_ema'"):
        fit(growing_gan(), LearningRate(schedules=[Constant()], network="generator_ema"), images=4)
    with pytest.raises(ValueError, match="has no network 'critic'"):
        fit(growing_gan(), LearningRate(schedules=[Constant()], network="critic"), images=4)
    with pytest.raises(ValueError, match="is empty"):
        LearningRate(schedules=[])
