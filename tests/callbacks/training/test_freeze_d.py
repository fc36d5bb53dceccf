"""Freeze-D: what stays, what learns, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1, FreezeD, GradientPenalty
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan
from tests.foreign.games import IMAGES, NAMES, Game
from tests.foreign.games import fit as fit_game
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def test_named_layers_stay_bit_for_bit_and_all_others_learn() -> None:
    module = fast_gan()
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    toy_trainer(FreezeD(layers=["conv"]), R1(), limit_train_batches=3).fit(module, toy_loader())
    for name, weight in module.named_parameters():
        stays = name.startswith(("discriminator.conv", "generator_ema"))
        assert torch.equal(weight, before[name]) == stays, name


def test_layers_within_each_other_count_once(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    module = fast_gan()
    count = sum(weight.numel() for weight in module.discriminator.get_submodule("conv").parameters())
    toy_trainer(FreezeD(layers=["conv", "conv"]), limit_train_batches=1).fit(module, toy_loader())
    assert f"FreezeD: {count:,} weights of 'discriminator' stay as they are" in caplog.text + capsys.readouterr().err


def test_after_the_fit_the_layers_can_learn_again() -> None:
    module = fast_gan()
    toy_trainer(FreezeD(layers=["conv"]), limit_train_batches=1).fit(module, toy_loader())
    frozen = weights_of(module.discriminator.get_submodule("conv"))
    assert all(weight.requires_grad for weight in module.discriminator.parameters())
    toy_trainer(limit_train_batches=1).fit(module, toy_loader())
    assert not equal(frozen, weights_of(module.discriminator.get_submodule("conv")))


def test_it_survives_a_resume_and_its_checkpoints_do_not_need_it(tmp_path: Path) -> None:
    assert_resumes(lambda: FreezeD(layers=["conv"]), tmp_path)
    toy_trainer(max_epochs=2, limit_train_batches=2).fit(fast_gan(), toy_loader(), ckpt_path=tmp_path / "cut.ckpt")


@pytest.mark.parametrize("beside", [[], [R1(**NAMES)], [GradientPenalty(**NAMES)]])
def test_foreign_modules_freeze_by_path(beside: list[Any]) -> None:
    torch.manual_seed(1)
    start = Game()
    module = fit_game(Game, IMAGES, FreezeD(layers=["conv"], network="D"), *beside)
    assert equal(weights_of(start.D.get_submodule("conv").double()), weights_of(module.D.get_submodule("conv")))
    assert not equal(weights_of(start.D.get_submodule("last").double()), weights_of(module.D.get_submodule("last")))


def test_a_step_that_switches_gradients_on_by_hand_moves_nothing() -> None:
    class Switching(Game):
        def critic_loss(self, batch: Any) -> Tensor:
            self.D.requires_grad_(True)
            return super().critic_loss(batch)

    torch.manual_seed(1)
    start = Switching()
    module = fit_game(Switching, IMAGES, FreezeD(layers=["conv"], network="D"))
    assert equal(weights_of(start.D.get_submodule("conv").double()), weights_of(module.D.get_submodule("conv")))


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([], r"layers=\[\] names no layer; leave the callback out"),
        (["conv9"], r"FreezeD\(layers=\.\.\.\): ToyCritic has no network 'conv9'; its networks are conv, output"),
        (["conv", "output"], r"layers=\['conv', 'output'\] leave no weight of 'discriminator' to learn; name fewer"),
    ],
)
def test_bad_layers_are_refused_before_the_first_step(layers: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        toy_trainer(FreezeD(layers=layers)).fit(toy_gan(), toy_loader())
