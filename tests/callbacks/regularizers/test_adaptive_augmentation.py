"""ADA's controller: its steps, what it hears, what it saves, and when it warns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn, tensor

from lightning_gan.augmentations import adapted
from lightning_gan.callbacks import AdaptiveAugmentation, AdaptivePseudoAugmentation, Augmentation
from lightning_gan.loop.gan import GAN
from lightning_gan.losses import LeastSquares, RelativisticStandard, Wasserstein
from lightning_gan.schedules import LinearDecay
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.foreign.games import IMAGES, NAMES, Game
from tests.foreign.games import fit as fit_game
from tests.penalties.turns import turn_of
from tests.toys import FAST, ToyCritic, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer


def test_a_step_is_the_images_over_those_of_a_full_rise() -> None:
    """Batches of 32 and 4 of them: 0.000256 of 500,000 images."""
    step = 32 * 4 / 500_000
    assert step == pytest.approx(0.000256)
    rises, falls, stays = (adapted(tensor(0.5), tensor(r), target=0.6, step=step) for r in (0.7, 0.5, 0.6))
    assert (rises.item(), falls.item(), stays.item()) == pytest.approx((0.500256, 0.499744, 0.5))


def test_the_probability_stays_in_its_bounds() -> None:
    assert adapted(tensor(0.9), tensor(1.0), target=0.6, step=0.5) == 1
    assert adapted(tensor(0.1), tensor(-1.0), target=0.6, step=0.5) == 0


def hear(callback: AdaptiveAugmentation, logits: list[float]) -> None:
    """One turn in which the real images have these scores."""
    turn = turn_of(
        critic=lambda images: images.flatten(1),
        generator=lambda latents: latents[:, :, None, None],
        real=tensor(logits)[:, None, None, None],
        latents=torch.zeros(2, 1),
    )
    assert callback.penalty(turn).item() == 0
    callback.state = callback.moved(callback.state, callback._sum / callback._measurements)
    callback._reset_measurements()


def test_r_t_is_the_mean_sign_over_the_turns_of_an_interval() -> None:
    callback = AdaptiveAugmentation(adaptation_kimg=1.0)
    hear(callback, [3.0, 0.1, -0.2, 5.0])
    hear(callback, [2.0, 2.0, 0.0, 1.0])
    callback.adapt(100)
    assert callback.state.tolist() == pytest.approx([0.1, (0.5 + 0.75) / 2, 0, 0])
    hear(callback, [-1.0])
    callback.adapt(50)
    assert callback.state.tolist() == pytest.approx([0.05, -1.0, 0, 0])
    callback.adapt(50)  # nothing was heard
    assert callback.state.tolist() == pytest.approx([0.05, -1.0, 0, 0])


def test_the_probability_moves_every_fourth_batch_by_the_images_seen() -> None:
    seen: list[float] = []

    class Read(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
            seen.append(callback.pipeline.p.item())

    callback = AdaptiveAugmentation(adaptation_kimg=0.1, target=-0.999)
    toy_trainer(callback, Read(), limit_train_batches=9).fit(fast_gan(), toy_loader())
    assert seen == pytest.approx([0.0] * 4 + [0.16] * 4 + [0.32])  # 4 batches of 4 images of 100


def test_p_and_r_t_are_logged() -> None:
    trainer = toy_trainer(AdaptiveAugmentation(initial_probability=0.25), limit_train_batches=5)
    trainer.fit(fast_gan(), toy_loader())
    assert trainer.callback_metrics["augmentation/p"].item() == pytest.approx(0.25, abs=1e-4)
    assert -1 <= trainer.callback_metrics["augmentation/r_t"].item() <= 1
    assert trainer.callback_metrics["discriminator/augmentation"] == 0


def test_it_moves_both_players_and_at_p_0_none() -> None:
    plain = moved_by(module=fast_gan())
    still = moved_by(AdaptiveAugmentation(), module=fast_gan())
    moved = moved_by(AdaptiveAugmentation(initial_probability=0.75), module=fast_gan())
    for player in plain:
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain[player], still[player], strict=True))
        assert not equal(plain[player], moved[player])


class Offset(nn.Module):
    """Scores between 0 and 1, as a discriminator of least squares has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(tensor(0.0))

    def forward(self, images: Tensor) -> Tensor:
        return 0.4 + self.weight * images.flatten(1).mean(1, keepdim=True)


def test_the_sign_is_that_of_the_difference_to_the_losss_neutral_score() -> None:
    class LSGAN(GAN):
        default_loss = LeastSquares

    module = LSGAN(generator=ToyGenerator(), discriminator=Offset(), latent_dim=4)
    callback = AdaptiveAugmentation(initial_probability=0.5)
    toy_trainer(callback, limit_train_batches=4).fit(module, toy_loader())
    assert callback.state[1] == -1  # 0.4 is below 0.5


@pytest.mark.parametrize("callback", [AdaptiveAugmentation(), AdaptivePseudoAugmentation()])
def test_a_loss_whose_scores_have_no_origin_is_refused_with_what_works_in_its_place(callback: Callback) -> None:
    class WGAN(GAN):
        default_loss = Wasserstein

    def module() -> GAN:
        return WGAN(generator=ToyGenerator(), discriminator=ToyCritic(), latent_dim=4)

    with pytest.raises(
        ValueError, match=r"the loss has no score that lies between .* Augmentation\(probability=0\.3\)"
    ):
        toy_trainer(callback, limit_train_batches=1).fit(module(), toy_loader())
    toy_trainer(Augmentation(probability=0.3), limit_train_batches=1).fit(module(), toy_loader())


def test_a_high_probability_is_warned_of_once() -> None:
    callback = AdaptiveAugmentation(initial_probability=0.85)
    with pytest.warns(UserWarning, match=r"p=0\.85 is above 0\.8, where augmentations are likely") as warnings:
        toy_trainer(callback, limit_train_batches=3).fit(toy_gan(), toy_loader())
    assert sum("AdaptiveAugmentation" in str(warning.message) for warning in warnings) == 1


@pytest.mark.parametrize("p", [0.0, 0.6])
def test_it_survives_a_resume_between_two_steps(tmp_path: Path, p: float) -> None:
    """The checkpoint is after 2 of 3 batches of an interval."""
    assert_resumes(
        lambda: AdaptiveAugmentation(initial_probability=p, adaptation_kimg=0.2, interval=3, target=-0.9), tmp_path
    )


def test_slices_of_a_turn_hear_what_the_whole_turn_hears() -> None:
    def state(slices: int) -> Tensor:
        callback = AdaptiveAugmentation(initial_probability=0.5, adaptation_kimg=0.1)
        training = type(FAST)(
            generator_optimizer=FAST.generator_optimizer,
            discriminator_optimizer=FAST.discriminator_optimizer,
            accumulate_slices=slices,
        )
        toy_trainer(callback, limit_train_batches=3).fit(toy_gan(training=training), toy_loader())
        return callback.state

    assert state(2)[3] == state(1)[3] == 3
    assert state(2)[2].item() == pytest.approx(state(1)[2].item(), abs=1e-6)


def test_foreign_modules_have_the_same_controller() -> None:
    callback = AdaptiveAugmentation(initial_probability=0.5, adaptation_kimg=0.1, target=-0.999, **NAMES)
    plain, moved = fit_game(Game, IMAGES), fit_game(Game, IMAGES, callback)
    assert callback.state[0].item() == pytest.approx(0.66)  # 4 batches of 4 images of 100
    assert not equal([*plain.D.parameters()], [*moved.D.parameters()])
    assert not moved.D._forward_pre_hooks


def test_settings_that_mean_nothing_are_refused() -> None:
    for setting, text in (
        ({"target": 1.0}, r"target=1\.0 must be between -1 and 1"),
        ({"adaptation_kimg": 0.0}, r"adaptation_kimg=0\.0 must be positive"),
        ({"interval": 0}, "interval=0 must be at least 1"),
        ({"initial_probability": -0.5}, r"initial_probability=-0\.5 must be between 0 and 1"),
        ({"weight_schedule": LinearDecay(end_kimg=1.0)}, "weight_schedule has no effect"),
    ):
        with pytest.raises(ValueError, match=text):
            AdaptiveAugmentation(**setting)

    class Relativistic(GAN):
        default_loss = RelativisticStandard

    toys = fast_gan()
    module = Relativistic(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
    with pytest.raises(ValueError, match=r"the loss has no score that lies between.*Augmentation\(probability=0\.3\)"):
        toy_trainer(AdaptiveAugmentation()).fit(module, toy_loader())
