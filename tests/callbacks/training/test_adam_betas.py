"""The betas of Adam are numbers or schedules of images seen."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import AdamBetas
from lightning_gan.loop.settings import Training
from lightning_gan.schedules import Cosine
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


class Betas(Callback):
    """Writes down the betas that every batch is played with, in the order of the optimizers."""

    def __init__(self) -> None:
        self.pages: list[list[tuple[float, float]]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.pages.append([own.param_groups[0]["betas"] for own in trainer.optimizers])


def test_every_batch_has_the_beta_of_the_images_seen_before_it() -> None:
    betas, module = Betas(), toy_gan()
    rising = AdamBetas(beta2=Cosine(first=0.5, last=0.9, end_kimg=0.008))
    toy_trainer(rising, betas, limit_train_batches=4).fit(module, toy_loader())
    first = toy_gan().configure_optimizers()[0].param_groups[0]["betas"][0]
    for page, expected in zip(betas.pages, [0.5, 0.7, 0.9, 0.9], strict=True):
        assert page == [(pytest.approx(first), pytest.approx(expected))] * 2


def test_players_can_have_betas_of_their_own() -> None:
    betas = Betas()
    toy_trainer(AdamBetas(beta1=0.25, network="generator"), betas, limit_train_batches=1).fit(toy_gan(), toy_loader())
    ((discriminator, generator),) = betas.pages
    assert generator[0] == 0.25 != discriminator[0]


def test_the_betas_are_logged() -> None:
    trainer = toy_trainer(AdamBetas(beta2=0.75, network="generator"), limit_train_batches=1, log_every_n_steps=1)
    trainer.fit(toy_gan(), toy_loader())
    assert trainer.logged_metrics["generator/beta2"] == 0.75


def test_they_change_the_update() -> None:
    plain, moved, same = toy_gan(), toy_gan(), toy_gan()
    toy_trainer(limit_train_batches=3).fit(plain, toy_loader())
    toy_trainer(AdamBetas(beta2=0.5), limit_train_batches=3).fit(moved, toy_loader())
    own = toy_gan().configure_optimizers()[0].param_groups[0]["betas"]
    toy_trainer(AdamBetas(beta1=own[0], beta2=own[1]), limit_train_batches=3).fit(same, toy_loader())
    assert equal(weights_of(plain), weights_of(same)) and not equal(weights_of(plain), weights_of(moved))


def test_a_resumed_run_has_the_same_betas(tmp_path: Path) -> None:
    def betas() -> AdamBetas:
        return AdamBetas(beta2=Cosine(first=0.5, last=0.9, end_kimg=0.03))

    def gan() -> Any:
        return growing_gan(training=Training())

    whole = fit(gan(), betas(), images=24)
    fit(gan(), betas(), images=12, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(gan(), betas(), images=24, resume=tmp_path / "cut.ckpt"))
    torch.load(tmp_path / "cut.ckpt", weights_only=True)


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="beta1 and beta2 are None"):
        AdamBetas()
    with pytest.raises(ValueError, match=r"AdamBetas: beta2=1.0 must be at least 0 and below 1"):
        AdamBetas(beta2=1.0)
    with pytest.raises(ValueError, match="no optimizer has parameters of network='generator_ema'"):
        fit(growing_gan(), AdamBetas(beta2=0.5, network="generator_ema"), images=4)
    plain = Training(generator_optimizer=partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(ValueError, match=r"AdamBetas: SGD has no betas; .*network="):
        toy_trainer(AdamBetas(beta2=0.5)).fit(toy_gan(training=plain), toy_loader())
    toy_trainer(AdamBetas(beta2=0.5, network="discriminator"), limit_train_batches=1).fit(
        toy_gan(training=plain), toy_loader()
    )


def test_a_foreign_module_is_scheduled_by_the_names_of_its_networks() -> None:
    betas = Betas()
    fit(ForeignGAN(), AdamBetas(beta2=0.5, network="netD"), betas, images=4)
    assert [own[1] for own in betas.pages[0]] == [0.99, 0.5]
