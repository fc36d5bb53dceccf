"""GAN-QP: the value by hand, the critic's optimum, and two critics that train with it."""

from typing import Any

import jaxtyping
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.callbacks.regularizers.quadratic_potential import QuadraticPotential
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Turn
from lightning_gan.losses import Wasserstein
from lightning_gan.penalties.gan_qp import ImageDistance, MeanAbsolute, RootMeanSquare, quadratic_potential
from tests.callbacks.training.growing_toys import ForeignGAN
from tests.penalties.turns import turn_with
from tests.toys import Spy, equal, fast_adam, toy_gan, toy_loader, toy_trainer, weights_of

EVERY_DISTANCE = [RootMeanSquare(), MeanAbsolute()]


def turn_of(real_logits: Tensor, fake_logits: Tensor, real: Tensor, fake: Tensor) -> Turn:
    return turn_with(
        real_logits=real_logits, fake_logits=fake_logits, real=real, fake=fake, critic=lambda images: real_logits
    )


def images_apart(*distances: float) -> tuple[Tensor, Tensor]:
    """Pairs of even images, which both distances find as far apart as this."""
    real = torch.zeros(len(distances), 3, 2, 2)
    return real, real - torch.tensor(distances).view(-1, 1, 1, 1)


@pytest.mark.parametrize("distance", EVERY_DISTANCE, ids=lambda value: type(value).__name__)
def test_a_difference_of_two_at_half_a_distance_is_worth_minus_one_and_three_fifths(distance: ImageDistance) -> None:
    """With lambda = 10: -2 + 2^2 / (2 * 10 * 0.5)."""
    real, fake = images_apart(0.5)
    scores = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    potential = QuadraticPotential(slope=10.0, distance=distance).weighted(turn_of(*scores, real, fake))
    assert (Wasserstein().discriminator(*scores) + potential).item() == pytest.approx(-1.6)


def test_the_best_difference_is_lambda_times_the_distance() -> None:
    """It is worth -lambda * distance / 2, and has no slope."""
    real, fake = images_apart(0.5, 0.1)
    difference = torch.tensor([[5.0], [1.0]], requires_grad=True)
    zero = torch.zeros(2, 1)
    potential = QuadraticPotential(slope=10.0).weighted(turn_of(difference, zero, real, fake))
    value = Wasserstein().discriminator(difference, zero) + potential
    assert value.item() == pytest.approx(-(2.5 + 0.5) / 2)
    (slopes,) = torch.autograd.grad(value, difference)
    torch.testing.assert_close(slopes, torch.zeros(2, 1))


def test_distances_are_averages_over_an_images_pixels() -> None:
    real = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).view(2, 1, 1, 2)
    fake = torch.tensor([[0.0, 0.0], [0.5, -0.5]]).view(2, 1, 1, 2)
    torch.testing.assert_close(RootMeanSquare().between(real, fake), torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(MeanAbsolute().between(real, fake), torch.tensor([0.5, 0.5]))
    norms = (real - fake).flatten(1).norm(dim=1) / 2**0.5
    torch.testing.assert_close(RootMeanSquare().between(real, fake), norms)


@pytest.mark.parametrize("distance", EVERY_DISTANCE, ids=lambda value: type(value).__name__)
def test_it_does_not_depend_on_the_resolution_nor_on_constants(distance: ImageDistance) -> None:
    real, fake = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    scores = torch.randn(4, 1), torch.randn(4, 1)
    value = quadratic_potential(*scores, real, fake, distance=distance)
    larger = [images.repeat_interleave(2, 2).repeat_interleave(2, 3) for images in (real, fake)]
    torch.testing.assert_close(quadratic_potential(*scores, *larger, distance=distance), value)
    moved = scores[0] + 7, scores[1] + 7
    torch.testing.assert_close(quadratic_potential(*moved, real, fake, distance=distance), value, rtol=1e-4, atol=0)


def test_a_score_map_counts_score_by_score() -> None:
    real, fake = images_apart(0.5, 0.25)
    maps = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    each = (maps[0] - maps[1]).square() / (2 * torch.tensor([0.5, 0.25]).view(2, 1, 1, 1))
    torch.testing.assert_close(quadratic_potential(*maps, real, fake, distance=RootMeanSquare()), each.mean())


@pytest.mark.parametrize("distance", EVERY_DISTANCE, ids=lambda value: type(value).__name__)
def test_a_fake_that_equals_its_real_image_costs_nothing(distance: ImageDistance) -> None:
    """0 / 0 would be no number, and the root of 0 has no slope; not even R1's differentiable images suffer."""
    images = torch.zeros(2, 1, 2, 2, requires_grad=True)
    critic = nn.Linear(4, 1)
    logits = critic(images.flatten(1))
    value = quadratic_potential(logits, logits, images, images, distance=distance)
    assert value == 0
    slopes = torch.autograd.grad(value, [*critic.parameters(), images])
    assert all((slope == 0).all() for slope in slopes)


def test_pairs_need_as_many_fakes_as_real_images() -> None:
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match=r"\(4, 1\) and \(3, 1\)"):
            real, fake = torch.zeros(4, 1, 2, 2), torch.zeros(3, 1, 2, 2)
            quadratic_potential(torch.zeros(4, 1), torch.zeros(3, 1), real, fake, distance=RootMeanSquare())
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_a_slope_that_is_not_positive_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match=f"slope={slope} must be positive"):
        QuadraticPotential(slope=slope)


def qp_gan() -> GAN:
    return toy_gan(
        training=Training(
            loss=Wasserstein(), discriminator_turns=2, generator_optimizer=fast_adam, discriminator_optimizer=fast_adam
        ),
    )


def test_it_joins_the_turns_of_the_critic_alone() -> None:
    trainer = toy_trainer(QuadraticPotential(), R1(gamma=0.1), limit_train_batches=2)
    trainer.fit(qp_gan(), toy_loader())
    assert trainer.callback_metrics["discriminator/quadratic_potential"].isfinite()
    assert "generator/quadratic_potential" not in trainer.callback_metrics


def test_it_changes_the_critics_update() -> None:
    critics: list[list[list[Tensor]]] = [[], []]
    with_and_without: list[list[Callback]] = [[], [QuadraticPotential()]]
    for seen, callbacks in zip(critics, with_and_without, strict=True):
        spy = Spy(lambda player, gan, seen=seen: seen.append([p.grad.clone() for p in gan.discriminator.parameters()]))  # type: ignore[misc]
        toy_trainer(spy, *callbacks, limit_train_batches=2).fit(qp_gan(), toy_loader())
    assert not equal(critics[0][0], critics[1][0])


def test_its_gradient_in_a_game_is_that_of_the_formula() -> None:
    """By the formula, written out on the first batch of a game."""
    module = qp_gan()
    seen: list[tuple[list[Tensor], list[Tensor]]] = []
    turns: list[Turn] = []

    class Look(QuadraticPotential):
        def penalty(self, turn: Turn) -> Tensor:
            turns.append(turn)
            return super().penalty(turn)

    def see(player: str, gan: GAN) -> None:
        if not seen:
            (turn,) = turns
            real, fake = (gan.discriminator(images.detach())[:, 0] for images in (turn.real, turn.fake))
            apart = (turn.real - turn.fake).square().mean(dim=(1, 2, 3)).sqrt()
            cost = (fake - real + (real - fake) ** 2 / (2 * 10 * apart)).mean()
            parameters = list(gan.discriminator.parameters())
            seen.append(([p.grad.clone() for p in parameters], list(torch.autograd.grad(cost, parameters))))  # type: ignore[union-attr]

    toy_trainer(Spy(see), Look(slope=10.0), limit_train_batches=1).fit(module, toy_loader())
    ((taken, by_hand),) = seen
    torch.testing.assert_close(taken, by_hand)


def test_a_foreign_module_can_use_it() -> None:
    trained: list[list[Tensor]] = []
    callbacks: list[Any]
    for callbacks in ([], [QuadraticPotential(discriminator="netD", generator="netG")]):
        module = ForeignGAN()
        images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        toy_trainer(*callbacks).fit(module, torch.utils.data.DataLoader(images, batch_size=4))  # type: ignore[arg-type]
        trained.append(weights_of(module.netD))
    assert not equal(*trained)


def test_a_configuration_names_the_distance_by_its_class_path() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Callback, "callback")
    settings = {
        "class_path": "lightning_gan.callbacks.regularizers.quadratic_potential.QuadraticPotential",
        "init_args": {"slope": 5.0, "distance": "lightning_gan.penalties.gan_qp.MeanAbsolute"},
    }
    penalty = parser.instantiate_classes(parser.parse_object({"callback": settings})).callback
    assert isinstance(penalty, QuadraticPotential)
    assert isinstance(penalty.distance, MeanAbsolute)
    assert penalty.weight == pytest.approx(0.2)
