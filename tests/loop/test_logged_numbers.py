"""The scores that the loop logs are those of the discriminator's last turn."""

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1
from lightning_gan.loop.logged_numbers import numbers_of_scores
from lightning_gan.loop.settings import Training
from tests.foreign.games import IMAGES, NAMES, Game
from tests.foreign.games import fit as fit_game
from tests.toys import FAST, toy_gan, toy_loader, toy_trainer


def test_the_logged_scores_are_those_of_the_discriminators_last_turn() -> None:
    module = toy_gan(training=Training(discriminator_turns=2, discriminator_optimizer=FAST.discriminator_optimizer))
    outputs: list[Tensor] = []
    module.discriminator.register_forward_hook(lambda _, inputs, output: outputs.append(output.detach().clone()))
    trainer = toy_trainer(limit_train_batches=2)  # the generator follows every second turn of the discriminator
    trainer.fit(module, toy_loader())
    assert len(outputs) == 5  # real and fake in two turns, and fake in the generator's turn
    real, fake = outputs[2], outputs[3]
    logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("scores/")}
    assert logged == {
        "scores/real": pytest.approx(real.mean().item()),
        "scores/real_positive": (real > 0).float().mean().item(),
        "scores/fake": pytest.approx(fake.mean().item()),
        "scores/fake_positive": (fake > 0).float().mean().item(),
    }


def test_without_real_images_or_without_turns_nothing_is_said_of_them() -> None:
    fakes = torch.tensor([[1.0], [-3.0], [-4.0], [-2.0]])
    assert numbers_of_scores(None) == {}
    assert numbers_of_scores((None, fakes)) == {"scores/fake": -2.0, "scores/fake_positive": 0.25}


def test_a_generator_that_trains_alone_logs_no_scores() -> None:
    trainer = toy_trainer(limit_train_batches=2)
    trainer.fit(toy_gan(training=Training(discriminator_turns=0)), toy_loader())
    assert not any(name.startswith("scores/") for name in trainer.callback_metrics)
    assert trainer.callback_metrics["step"] == 8


@pytest.mark.parametrize("interval", [0, -1])
def test_a_trainer_that_never_logs_is_refused_before_training_in_a_gan_and_in_other_modules(interval: int) -> None:
    text = (
        rf"Trainer\(log_every_n_steps={interval}\) must be at least 1; to write no logs, give Trainer\(logger=False\)"
    )
    with pytest.raises(ValueError, match=text):
        toy_trainer(log_every_n_steps=interval).fit(toy_gan(), toy_loader())
    with pytest.raises(ValueError, match=text):
        fit_game(Game, IMAGES, R1(gamma=1.0, **NAMES), log_every_n_steps=interval)
