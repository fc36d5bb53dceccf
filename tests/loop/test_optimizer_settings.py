"""After a resume the optimizers have the settings of the model, and what a schedule has changed stays."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.callbacks import LearningRate
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.optimizer_settings import SAVED_AS, apply_changes, changes_of, settings_of
from lightning_gan.loop.settings import Training
from lightning_gan.optimizers import GANAdam
from lightning_gan.schedules.rates import RampUp
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def with_generator(**settings: Any) -> Training:
    return replace(Training(), generator_optimizer=partial(GANAdam, **settings))


def saved(folder: Path, training: Training, *callbacks: Any) -> str:
    """A checkpoint after an epoch of two batches."""
    trainer = toy_trainer(*callbacks, max_epochs=1)
    trainer.fit(toy_gan(training=training), toy_loader(8))
    trainer.save_checkpoint(folder / "toy.ckpt")
    return str(folder / "toy.ckpt")


def resumed(path: str, training: Training, *callbacks: Any) -> tuple[GAN, dict[str, Any]]:
    """A model after a second epoch, and the generator's settings in its optimizer."""
    model, trainer = toy_gan(training=training), toy_trainer(*callbacks, max_epochs=2)
    trainer.fit(model, toy_loader(8), ckpt_path=path, weights_only=True)
    return model, trainer.optimizers[1].param_groups[0]


def test_a_new_rate_and_new_betas_are_used_after_a_resume(tmp_path: Path) -> None:
    path = saved(tmp_path, with_generator(lr=0.001))
    _, group = resumed(path, with_generator(lr=0.01, betas=(0.5, 0.9), weight_decay=0.1))
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.01, (0.5, 0.9), 0.1)


def test_the_same_settings_change_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, with_generator(lr=0.001))
    checkpoint = torch.load(path, weights_only=True)
    model, group = resumed(path, with_generator(lr=0.001))
    del checkpoint[SAVED_AS]
    torch.save(checkpoint, tmp_path / "older.ckpt")  # of a version that did not save the settings
    older, _ = resumed(str(tmp_path / "older.ckpt"), with_generator(lr=0.001))
    assert group["lr"] == 0.001 and equal(weights_of(model), weights_of(older))


def test_a_rate_that_was_changed_during_training_stays(tmp_path: Path) -> None:
    path = saved(tmp_path, with_generator(lr=0.001))
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["optimizer_states"][1]["param_groups"][0]["lr"] = 0.0005
    torch.save(checkpoint, path)
    assert resumed(path, with_generator(lr=0.001))[1]["lr"] == 0.0005
    assert resumed(path, with_generator(lr=0.002))[1]["lr"] == 0.002


def test_a_schedule_multiplies_the_new_rate(tmp_path: Path) -> None:
    path = saved(tmp_path, with_generator(lr=0.001), schedule())
    _, group = resumed(path, with_generator(lr=0.01), schedule())
    assert group["initial_lr"] == 0.01
    assert group["lr"] == pytest.approx(0.01 * schedule().factor_at(12))


def schedule() -> LearningRate:
    return LearningRate(schedules=[RampUp(kimg=0.1)])


def test_another_optimizer_is_refused_with_both_names(tmp_path: Path) -> None:
    path = saved(tmp_path, Training())
    other = replace(Training(), generator_optimizer=partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(
        ValueError, match=r"training.generator_optimizer=SGD, but the checkpoint was trained with GANAdam"
    ):
        resumed(path, other)


def test_a_model_that_only_takes_the_weights_may_have_another_optimizer(tmp_path: Path) -> None:
    path = saved(tmp_path, Training())
    model = toy_gan(training=replace(Training(), generator_optimizer=partial(torch.optim.SGD, lr=0.1)))
    model.on_load_checkpoint(torch.load(path, weights_only=True))  # as load_from_checkpoint does, without a trainer
    trainer = toy_trainer(max_steps=1)
    trainer.fit(model, toy_loader())
    assert trainer.global_step == 1


def test_a_checkpoint_without_settings_says_what_it_keeps(tmp_path: Path) -> None:
    path = saved(tmp_path, with_generator(lr=0.001))
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint[SAVED_AS]
    torch.save(checkpoint, path)
    with pytest.warns(UserWarning, match=r"the generator's optimizer goes on with lr=0.001 and not 0.01"):
        assert resumed(path, with_generator(lr=0.01))[1]["lr"] == 0.001


def test_groups_are_compared_one_by_one() -> None:
    first, second = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second], "weight_decay": 0.5}], lr=0.1)
    groups = settings_of(optimizer)["groups"]
    assert [group["weight_decay"] for group in groups] == [0, 0.5]
    assert changes_of(groups[0], {**groups[0], "lr": 0.2}) == {"lr": 0.2}
    apply_changes(optimizer.param_groups[1], {"weight_decay": 0.25})
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0, 0.25]
