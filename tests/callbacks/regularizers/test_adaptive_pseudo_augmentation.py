"""APA: which images the discriminator takes for real, what p = 0 leaves alone, resumes, labels, and other modules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn, tensor

from lightning_gan import models
from lightning_gan import real as mark_real
from lightning_gan.callbacks import R1, AdaptiveAugmentation, AdaptivePseudoAugmentation
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.losses import RelativisticStandard
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.foreign.games import IMAGES, NAMES, Game
from tests.foreign.games import fit as fit_game
from tests.models.test_every_model import data_of, small
from tests.penalties.turns import turn_of
from tests.toys import FAST, SIZE, ToyCritic, ToyGenerator, equal, fast_adam, toy_gan, toy_loader, toy_trainer
from tests.two_ranks import ROOT

# Trials at p = 1 are at the bound from the start.
pytestmark = pytest.mark.filterwarnings("ignore:AdaptivePseudoAugmentation. p has reached its bound 1")


class Noted(GAN):
    """Notes the real images, the labels and the fakes of every turn."""

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: Tensor) -> Scores:
        self.turns.append((player, reals.images.detach().clone(), fake.detach().clone(), reals.labels))
        return super().score_turn(player, reals, draws, fake)


def noted(*callbacks: Callback, classes: int = 0, batches: int = 2, **settings: Any) -> Noted:
    """A toy GAN after some batches of 4 images, with notes of its turns."""
    torch.manual_seed(7)
    module = Noted(
        generator=ToyGenerator(classes=classes),
        discriminator=ToyCritic(classes=classes),
        latent_dim=4,
        number_of_classes=classes,
        training=Training(generator_optimizer=fast_adam, discriminator_optimizer=fast_adam, **settings),
    )
    module.turns = []
    toy_trainer(*callbacks, limit_train_batches=batches).fit(module, toy_loader(classes=classes))
    return module


def seen_by(module: Noted, player: str) -> list[Tensor]:
    return [images for turn, images, *_ in module.turns if turn == player]


def test_p_0_trains_bit_for_bit_as_without_it() -> None:
    """With dropout in the generator, which draws numbers, and with batch statistics, which move with each pass."""

    def trained(*callbacks: Callback) -> GAN:
        torch.manual_seed(7)
        generator = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Unflatten(1, (1, SIZE, SIZE))
        )
        module = GAN(generator=generator, discriminator=ToyCritic(), latent_dim=4, training=FAST)
        toy_trainer(*callbacks, limit_train_batches=5).fit(module, toy_loader())
        return module

    plain = trained(R1(gamma=1.0))
    still = trained(R1(gamma=1.0), AdaptivePseudoAugmentation(target=0.999))
    assert equal([*plain.state_dict().values()], [*still.state_dict().values()])


@pytest.mark.parametrize("kind", [models.BigGAN, models.StyleGAN, models.SNGAN, models.StyleGAN2, models.VGAN])
def test_p_0_trains_models_bit_for_bit_as_without_it(kind: type[GAN]) -> None:
    """With growth, labels, spectral normalization, noise, style mixing, running means and codes."""

    def trained(*callbacks: Callback) -> list[Tensor]:
        model = small(kind)
        toy_trainer(*callbacks, limit_val_batches=0).fit(model, data_of(model))
        return [*model.state_dict().values()]

    assert equal(trained(), trained(AdaptivePseudoAugmentation(target=0.999)))


def test_at_p_1_all_real_images_are_generated_without_gradient_and_none_is_a_fake_of_the_turn() -> None:
    plain, moved = noted(), noted(AdaptivePseudoAugmentation(initial_probability=1.0, target=-0.999))
    first, second = seen_by(plain, "discriminator")[0], seen_by(moved, "discriminator")[0]
    fakes = next(fake for turn, _, fake, _ in moved.turns if turn == "discriminator")
    with torch.no_grad():
        generated = toy_gan().generator(torch.randn(2000, 4))
    assert not torch.isclose(first, second).all(dim=(1, 2, 3)).any()
    assert (second - generated.mean(0)).abs().max() < 1.5 * (generated - generated.mean(0)).abs().max()
    assert not any(torch.allclose(one, other) for one in second for other in fakes)
    assert not any(torch.equal(*pair) for pair in zip(second, seen_by(moved, "discriminator")[1], strict=True))


def test_the_generators_turn_has_the_real_images() -> None:
    plain, moved = noted(), noted(AdaptivePseudoAugmentation(initial_probability=1.0))
    assert equal(seen_by(plain, "generator"), seen_by(moved, "generator"))


def test_penalties_take_what_results_for_the_real_images() -> None:
    """R1 of replaced images is that of the turn's images, and not that of the batch."""
    turns: list[Turn] = []

    class Noting(R1):
        def penalty(self, turn: Turn) -> Tensor:
            turns.append(turn)
            return super().penalty(turn)

    module = noted(Noting(gamma=1.0), AdaptivePseudoAugmentation(initial_probability=0.5), batches=4)
    assert all(turn.real.requires_grad and turn.real.is_leaf for turn in turns)
    assert equal([turn.real.detach() for turn in turns], seen_by(module, "discriminator"))


def test_a_pseudo_image_has_the_label_of_the_image_that_it_replaces() -> None:
    """With a generator that paints the class, and images of class 0 to 2 in turn."""

    class Painter(ToyGenerator):
        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            assert labels is not None
            return 0 * super().forward(latents, labels) + labels[:, None, None, None]

    for uniform in (False, True):
        torch.manual_seed(7)
        module = Noted(
            generator=Painter(classes=3),
            discriminator=ToyCritic(classes=3),
            latent_dim=4,
            number_of_classes=3,
            training=Training(uniform_labels=uniform),
        )
        module.turns = []
        trainer = toy_trainer(AdaptivePseudoAugmentation(initial_probability=1.0), limit_train_batches=2)
        trainer.fit(module, toy_loader(classes=3))
        for images, labels in [(images, labels) for turn, images, _, labels in module.turns if turn == "discriminator"]:
            assert torch.equal(images[:, 0, 0, 0], labels.float())


def test_slices_of_a_turn_replace_the_images_of_the_whole_turn() -> None:
    whole, sliced = (
        noted(AdaptivePseudoAugmentation(initial_probability=0.5), batches=1, accumulate_slices=slices)
        for slices in (1, 2)
    )
    torch.testing.assert_close(
        torch.cat(seen_by(sliced, "discriminator")), torch.cat(seen_by(whole, "discriminator")), rtol=0, atol=1e-6
    )


def test_several_turns_of_a_batch_replace_different_images() -> None:
    settings: dict[str, Any] = {"discriminator_turns": 2, "turns_share_batch": True}
    module = noted(AdaptivePseudoAugmentation(initial_probability=1.0), batches=1, **settings)
    first, second = seen_by(module, "discriminator")
    assert not any(torch.allclose(one, other) for one in first for other in second)


def test_it_moves_both_players() -> None:
    plain = moved_by(module=fast_gan())
    moved = moved_by(AdaptivePseudoAugmentation(initial_probability=0.75), module=fast_gan())
    assert not equal(plain["discriminator"], moved["discriminator"])
    assert not equal(plain["generator"], moved["generator"])


def test_p_rises_by_the_images_seen_while_the_discriminator_overfits_and_is_logged() -> None:
    callback = AdaptivePseudoAugmentation(adaptation_kimg=0.1, target=-0.999)
    trainer = toy_trainer(callback, limit_train_batches=9)
    trainer.fit(fast_gan(), toy_loader())
    assert callback.transform.p.item() == pytest.approx(0.32)  # two steps of 4 batches of 4 images, of 100
    assert trainer.callback_metrics["pseudo_augmentation/p"].item() == pytest.approx(0.32)
    assert -1 <= trainer.callback_metrics["pseudo_augmentation/r_t"].item() <= 1


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0.5), (0.0, 1.0), (0.5, 0.75)])
def test_the_heuristics_are_lambda_r_lambda_f_and_lambda_rf(share: float, expected: float) -> None:
    """Three of four real images have positive scores, and all generated ones negative ones."""
    turn = turn_of(
        critic=lambda images: images.flatten(1),
        generator=lambda latents: latents[:, :, None, None],
        real=tensor([3.0, 0.1, -0.2, 5.0])[:, None, None, None],
        latents=-torch.ones(4, 1),
    )
    assert AdaptivePseudoAugmentation(real_share=share).overfitting(turn).item() == pytest.approx(expected)


def test_reaching_the_bound_is_warned_of_once() -> None:
    callback = AdaptivePseudoAugmentation(initial_probability=0.9, adaptation_kimg=0.03, interval=1, target=-0.999)
    with pytest.warns(UserWarning, match="p has reached its bound 1, so that the discriminator is shown no") as found:
        toy_trainer(callback, limit_train_batches=4).fit(toy_gan(), toy_loader())
    assert sum("AdaptivePseudoAugmentation" in str(warning.message) for warning in found) == 1


@pytest.mark.parametrize("p", [0.0, 0.6])
def test_it_survives_a_resume_between_two_steps(tmp_path: Path, p: float) -> None:
    """The checkpoint is after 2 of 3 batches of an interval."""
    assert_resumes(
        lambda: AdaptivePseudoAugmentation(initial_probability=p, adaptation_kimg=0.2, interval=3, target=-0.9),
        tmp_path,
    )


def test_it_goes_with_ada_and_leaves_nothing_in_the_model() -> None:
    module = fast_gan()
    trainer = toy_trainer(
        AdaptivePseudoAugmentation(initial_probability=0.5),
        AdaptiveAugmentation(initial_probability=0.5),
        limit_train_batches=3,
    )
    trainer.fit(module, toy_loader())
    assert {"augmentation/p", "pseudo_augmentation/p"} <= trainer.callback_metrics.keys()
    assert not len(module.real_transforms) and not len(module.image_transforms)
    assert fast_gan().state_dict().keys() == module.state_dict().keys()


def test_a_generator_that_learns_from_the_fakes_of_the_turn_before_still_does() -> None:
    module = noted(AdaptivePseudoAugmentation(initial_probability=0.5), use_fakes_twice=True)
    fakes = [fake for *_, fake, _ in module.turns]
    assert equal(fakes[::2], fakes[1::2])


@pytest.mark.slow
def test_compiled_turns_end_like_eager_ones_and_a_new_p_compiles_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.callbacks.regularizers.pseudo_augmentation_compile_worker"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["graphs"] == 2  # one for each player
    assert found["error"] < 1e-4 * found["moved"]


# ---------------------------------------------------------------------- other modules


def sampler(module: LightningModule, count: int, seed: int) -> Tensor:
    """Images by the game's generator, of noise that the seed decides."""
    random = torch.Generator().manual_seed(seed)
    images: Tensor = module.G(torch.randn(count, 1, 4, 4, dtype=torch.float64, generator=random))
    return images


def foreign(**settings: Any) -> AdaptivePseudoAugmentation:
    return AdaptivePseudoAugmentation(**{"sampler": sampler, **NAMES, **settings})


class Watched(Game):
    """Notes what the discriminator is given."""

    def make_critic(self) -> nn.Module:
        critic = super().make_critic()
        self.given: list[Tensor] = []
        critic.conv.register_forward_pre_hook(lambda module, given: self.given.append(given[0].detach().clone()))
        return critic


def test_other_modules_have_the_same_controller_and_p_0_changes_nothing() -> None:
    callback = foreign(initial_probability=0.5, adaptation_kimg=0.1, target=-0.999)
    plain, still, moved = (fit_game(Game, IMAGES, *own) for own in ([], [foreign(target=0.999)], [callback]))
    assert callback.state[0].item() == pytest.approx(0.66)  # 4 batches of 4 images of 100
    assert equal([*plain.parameters()], [*still.parameters()])
    assert not equal([*plain.D.parameters()], [*moved.D.parameters()])
    assert not moved.D._forward_pre_hooks


def test_in_other_modules_real_images_are_replaced_and_the_others_are_not() -> None:
    plain, moved = (
        fit_game(Watched, IMAGES, *own, limit_train_batches=1)
        for own in ([], [foreign(initial_probability=1.0, target=-0.999, every_n_turns=5)])
    )
    real, fake = (
        [torch.equal(one, other) for one, other in zip(plain.given[number], moved.given[number], strict=True)]
        for number in (0, 1)
    )
    assert not any(real) and all(fake)


@pytest.mark.parametrize("is_marked", [False, True])
def test_penalties_in_other_modules_take_what_results_for_the_real_images(is_marked: bool) -> None:
    turns: list[Tensor] = []

    class Noting(R1):
        def penalty(self, turn: Turn) -> Tensor:
            turns.append(turn.real.detach().clone())
            return super().penalty(turn)

    class Marked(Watched):
        def critic_loss(self, batch: Any) -> Tensor:
            fake = self.fakes(batch).detach()
            return self.loss(self.D(mark_real(batch * 1.0)), self.D(fake))

    kind = Marked if is_marked else Watched
    callbacks = (Noting(gamma=1.0, **NAMES), foreign(initial_probability=1.0, target=-0.999))
    module = fit_game(kind, IMAGES, *callbacks, limit_train_batches=1)
    assert torch.equal(turns[0], module.given[0].float()) or torch.equal(turns[0], module.given[0])
    assert not torch.equal(turns[0], torch.stack(IMAGES[:4]))


def test_other_modules_whose_real_images_are_not_found_are_refused_after_one_batch() -> None:
    class Scaled(Game):
        def critic_loss(self, batch: Any) -> Tensor:
            fake = self.fakes(batch).detach()
            return self.loss(self.D(2 * batch), self.D(fake))

    text = r"no real images were found.*'D' was called with \(image: 4x1x4x4\).*mark them.*discriminator\(real\(x\)\)"
    with pytest.raises(ValueError, match=text):
        fit_game(Scaled, IMAGES, foreign())


def test_other_modules_need_a_sampler_of_images_of_the_same_shape() -> None:
    with pytest.raises(ValueError, match=r"Game is no lightning_gan\.GAN.*give sampler="):
        fit_game(Game, IMAGES, AdaptivePseudoAugmentation(**NAMES))
    text = r"sampler is a function of \(module, count\), and must be one of \(module, count, seed\)"
    with pytest.raises(ValueError, match=text):  # when fit starts
        foreign(sampler=lambda module, count: None).check_place(Game())
    with pytest.raises(ValueError, match=r"sampler returned images 4x1x2x2, and the real ones .* are 4x1x4x4"):
        fit_game(Game, IMAGES, foreign(sampler=lambda module, count, seed: torch.zeros(count, 1, 2, 2)))


def test_a_compiled_discriminator_of_another_module_is_refused() -> None:
    class Compiled(Game):
        def make_critic(self) -> nn.Module:
            critic = super().make_critic()
            critic.compile(backend="eager")
            return critic

    with pytest.raises(ValueError, match=r"'D' is compiled.*leave torch\.compile out"):
        fit_game(Compiled, IMAGES, foreign())


# ---------------------------------------------------------------------- refusals


def test_settings_that_mean_nothing_are_refused() -> None:
    for setting, text in (
        ({"target": 1.0}, r"AdaptivePseudoAugmentation: target=1\.0 must be between -1 and 1"),
        ({"initial_probability": 1.5}, r"initial_probability=1\.5 must be between 0 and 1"),
        ({"real": lambda batch: batch}, "real is a function of the batch, whose images are not those"),
        ({"real_share": 2.0}, r"real_share=2\.0 must be between 0 and 1; 1 is the authors'"),
    ):
        with pytest.raises(ValueError, match=text):
            AdaptivePseudoAugmentation(**setting)

    class Relativistic(GAN):
        default_loss = RelativisticStandard

    class Chained(GAN):
        turns_are_independent = False

    toys = fast_gan()
    for kind, text in (
        (Relativistic, "the loss has no score that lies between"),
        (Chained, "a turn of Chained uses what the turn before made of the real images"),
    ):
        module = kind(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
        with pytest.raises(ValueError, match=text):
            toy_trainer(AdaptivePseudoAugmentation()).fit(module, toy_loader())
    with pytest.raises(ValueError, match=r"discriminator='discriminator\.conv' is not the whole discriminator of GAN"):
        toy_trainer(AdaptivePseudoAugmentation(discriminator="discriminator.conv")).fit(fast_gan(), toy_loader())
    with pytest.raises(
        ValueError, match=r"GAN is a lightning_gan\.GAN, whose own generator makes the images; leave samp"
    ):
        toy_trainer(AdaptivePseudoAugmentation(sampler=sampler)).fit(fast_gan(), toy_loader())
