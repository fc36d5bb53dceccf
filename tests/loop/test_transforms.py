"""What images and latents pass through on their way into the networks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1, R2
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from tests.loop.transforms import Scaled, Uphill
from tests.toys import FAST, LATENT, Spy, equal, toy_gan, toy_images, toy_loader, toy_trainer, weights_of
from tests.two_ranks import ROOT


def fast_gan() -> GAN:
    return toy_gan(training=FAST)


def look(module: GAN, *, fake: Tensor | None) -> object:
    draws = Draws(latents=torch.randn(4, LATENT, generator=torch.Generator().manual_seed(1)), labels=None)
    player = "generator" if fake is None else "discriminator"
    return module.train().run_networks(player, Reals(images=toy_images(4), labels=None), draws, fake)


def test_real_and_fake_images_of_both_turns_pass_through_and_player_and_clock_are_known() -> None:
    module, transform = fast_gan(), Scaled()
    module.image_transforms.append(transform)
    toy_trainer(limit_train_batches=2).fit(module, toy_loader())
    # Of each batch: the real images and the fakes of the discriminator's turn, and the fakes of the generator's.
    first, second = (
        [("discriminator", factor), ("discriminator", factor), ("generator", factor)] for factor in (1.0, 1.5)
    )
    assert transform.seen == first + second


def test_the_discriminator_scores_what_the_transform_makes() -> None:
    module, transform = fast_gan(), Scaled()
    module.image_transforms.append(transform)
    transform.factor.fill_(2.0)
    fake = torch.randn(4, 1, 4, 4)
    turn = look(module, fake=fake)
    torch.testing.assert_close(turn.real_logits, module.discriminator(2 * toy_images(4)))  # type: ignore[attr-defined]
    torch.testing.assert_close(turn.fake_logits, module.discriminator(2 * fake))  # type: ignore[attr-defined]
    torch.testing.assert_close(turn.critic(fake, None), turn.fake_logits)  # type: ignore[attr-defined]
    assert torch.equal(turn.real, toy_images(4))  # type: ignore[attr-defined]


def test_in_evaluation_mode_images_stay_as_they_are() -> None:
    module, transform = fast_gan(), Scaled()
    module.image_transforms.append(transform)
    transform.factor.fill_(2.0)
    images = toy_images(4)
    assert torch.equal(module.eval().score(images, None), module.discriminator(images))


def test_penalties_differentiate_in_front_of_the_transform() -> None:
    """Twice the image: the gradient by the image is twice that by what the discriminator sees, R1 four times."""
    numbers: list[float] = []
    for factor in (1.0, 2.0):
        module, transform = fast_gan(), Scaled()
        module.image_transforms.append(transform)
        transform.factor.fill_(factor)
        images = (toy_images(4) / factor).requires_grad_()
        reals, draws = Reals(images=images, labels=None), Draws(latents=torch.zeros(4, LATENT), labels=None)
        terms, *_ = module.train().cost("discriminator", (R1(gamma=2.0),), reals, draws, torch.zeros(4, 1, 4, 4))
        numbers.append(terms["r1"].item())
    assert numbers[1] == pytest.approx(4 * numbers[0], rel=1e-5)


def test_transforms_are_saved_with_the_model(tmp_path: Path) -> None:
    module = fast_gan()
    module.image_transforms.append(Scaled())
    trainer = toy_trainer(limit_train_batches=2)
    trainer.fit(module, toy_loader())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
    assert saved["image_transforms.0.factor"].item() == 1.5


def test_a_step_of_the_latents_makes_fakes_that_score_higher() -> None:
    """In both turns; the generator's turn learns through the step."""
    scores: dict[float, Tensor] = {}
    for step in (0.0, 0.1):
        module = fast_gan()
        module.latent_transforms.append(Uphill(step=step))
        latents = torch.randn(4, LATENT, generator=torch.Generator().manual_seed(1)).requires_grad_()
        scores[step] = module.score(module.fakes(Draws(latents=latents, labels=None)), None)
    assert (scores[0.1] > scores[0.0]).all()


def test_the_generators_gradient_is_that_of_the_step_written_by_hand() -> None:
    module, twin, gradients = fast_gan().double(), fast_gan().double(), {}
    module.latent_transforms.append(Uphill())
    drawn: list[Tensor] = []
    original = module.draw_rows

    def noted(count: int, random: torch.Generator) -> Draws:
        draws = original(count, random)
        drawn.append(draws.latents.clone().double())
        return draws

    def see(player: str, gan: GAN) -> None:
        gradients[player] = [weight.grad.clone() for weight in gan.generator.parameters() if weight.grad is not None]
        twin.discriminator.load_state_dict(gan.discriminator.state_dict())

    module.draw_rows = noted  # type: ignore[method-assign]
    toy_trainer(Spy(see), limit_train_batches=1, precision="64-true").fit(module, toy_loader())
    latents = drawn[1].requires_grad_()
    twin.discriminator.requires_grad_(False)
    (slope,) = torch.autograd.grad(twin.discriminator(twin.generator(latents)).sum(), latents, create_graph=True)
    cost = twin.loss.generator(None, twin.discriminator(twin.generator(latents + 0.1 * slope)))
    expected = torch.autograd.grad(cost, list(twin.generator.parameters()))
    torch.testing.assert_close(gradients["generator"], list(expected), rtol=1e-9, atol=1e-12)


def test_without_transforms_nothing_changes() -> None:
    plain, stepped = fast_gan(), fast_gan()
    stepped.latent_transforms.append(Uphill(step=0.0))
    for module in (plain, stepped):
        toy_trainer(R2(gamma=1.0), limit_train_batches=2).fit(module, toy_loader())
    assert equal(weights_of(plain.discriminator), weights_of(stepped.discriminator))


@pytest.mark.slow
def test_a_latent_step_and_noise_compile_into_one_graph_and_agree_with_eager() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.loop.transforms_compile_worker"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stderr[-3000:]
    for player, found in json.loads(finished.stdout.splitlines()[-1]).items():
        assert found["graphs"] == 1 and found["breaks"] == 0, (player, found)
        assert found["graphs_after_other_noise"] == 1, (player, found)
        assert found["largest_relative_error"] < 1e-5, (player, found)
