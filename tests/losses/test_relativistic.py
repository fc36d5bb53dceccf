"""Relativistic objectives: their values by hand, what they do not depend on, and who plays which role."""

import math
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from torch import nn, tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss
from lightning_gan.losses.relativistic import (
    RelativisticAverage,
    RelativisticAverageHinge,
    RelativisticAverageLeastSquares,
    RelativisticStandard,
)
from tests.toys import equal, fast_adam, toy_gan, toy_loader, toy_trainer, weights_of

EVERY_LOSS: list[AdversarialLoss] = [
    RelativisticStandard(),
    RelativisticAverage(),
    RelativisticAverageLeastSquares(),
    RelativisticAverageHinge(),
]
ZERO = torch.zeros(4, 1)

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: type(loss).__name__)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """What users meet, for whom annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("loss", "value"),
    list(zip(EVERY_LOSS, [math.log(2), math.log(2), 1.0, 1.0], strict=True)),
    ids=lambda value: type(value).__name__,
)
def test_a_critic_that_knows_nothing_costs_both_players_the_same(loss: AdversarialLoss, value: float) -> None:
    assert loss.discriminator(ZERO, ZERO).item() == pytest.approx(value)
    assert loss.generator(ZERO, ZERO).item() == pytest.approx(value)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        # Real 2 and 0, fake 1 and -3, so that the means are 1 and -1.
        (RelativisticStandard(), (math.log1p(math.exp(-1)) + math.log1p(math.exp(-3))) / 2, None),
        # Real minus the fakes' mean: 3, 1. Fake minus the real mean: 0, -4.
        (RelativisticAverageLeastSquares(), ((4 + 0) / 2 + (1 + 9) / 2) / 2, ((16 + 4) / 2 + (1 + 25) / 2) / 2),
        (RelativisticAverageHinge(), ((0 + 0) / 2 + (1 + 0) / 2) / 2, ((4 + 2) / 2 + (1 + 5) / 2) / 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_four_scores_cost_what_the_formula_says(
    loss: AdversarialLoss, discriminator: float, generator: float | None
) -> None:
    real, fake = tensor([2.0, 0.0]), tensor([1.0, -3.0])
    assert loss.discriminator(real, fake).item() == pytest.approx(discriminator)
    if generator is None:  # softplus(t) - softplus(-t) = t, and the differences are 1 and 3
        generator = discriminator + 2
    assert loss.generator(real, fake).item() == pytest.approx(generator)


def test_the_average_logistic_cost_is_cross_entropy_against_the_other_mean() -> None:
    real, fake = torch.randn(8, 1), torch.randn(8, 1)
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    above, below = real - fake.mean(), fake - real.mean()
    discriminator = binary_cross_entropy_with_logits(above, ones) + binary_cross_entropy_with_logits(below, zeros)
    generator = binary_cross_entropy_with_logits(below, ones) + binary_cross_entropy_with_logits(above, zeros)
    loss = RelativisticAverage()
    torch.testing.assert_close(loss.discriminator(real, fake), discriminator / 2)
    torch.testing.assert_close(loss.generator(real, fake), generator / 2)


@every_loss
def test_the_generator_plays_the_critics_role_with_real_and_fake_swapped(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(8, 1), torch.randn(8, 1)
    assert loss.generator_needs_real
    assert torch.equal(loss.generator(real, fake), loss.discriminator(fake, real))


@every_loss
def test_a_constant_added_to_the_critic_changes_nothing(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(8, 1, dtype=torch.float64), torch.randn(8, 1, dtype=torch.float64)
    torch.testing.assert_close(loss.discriminator(real + 7, fake + 7), loss.discriminator(real, fake))
    torch.testing.assert_close(loss.generator(real + 7, fake + 7), loss.generator(real, fake))


@every_loss
def test_the_critics_output_bias_has_no_gradient(loss: AdversarialLoss) -> None:
    torch.manual_seed(0)
    critic = nn.Linear(3, 1).double()
    real, fake = torch.randn(8, 3, dtype=torch.float64), torch.randn(8, 3, dtype=torch.float64)
    for cost in (loss.discriminator, loss.generator):
        weight, bias = torch.autograd.grad(cost(critic(real), critic(fake)), [critic.weight, critic.bias])
        assert bias.abs().item() < 1e-15 < weight.abs().max().item()


@every_loss
def test_both_players_pull_the_scores_apart(loss: AdversarialLoss) -> None:
    real, fake = torch.zeros(2, 1, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    by_real, by_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert (by_real < 0).all() and (by_fake > 0).all()
    (by_fake,) = torch.autograd.grad(loss.generator(real, fake), fake)
    assert (by_fake < 0).all()


@every_loss
def test_a_score_map_counts_score_by_score(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    torch.testing.assert_close(loss.discriminator(real, fake), loss.discriminator(real.flatten(), fake.flatten()))


@pytest.mark.usefixtures("unchecked_shapes")
def test_pairs_need_as_many_fakes_as_real_images() -> None:
    loss = RelativisticStandard()
    for cost in (loss.discriminator, loss.generator):
        with pytest.raises(ValueError, match=r"\(4, 1\).*\(3, 1\)|\(3, 1\).*\(4, 1\)"):
            cost(torch.zeros(4, 1), torch.zeros(3, 1))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("loss", EVERY_LOSS[1:], ids=lambda loss: type(loss).__name__)
def test_averages_need_no_pairs(loss: AdversarialLoss) -> None:
    real, fake = torch.zeros(4, 1), torch.zeros(3, 1)
    assert loss.discriminator(real, fake) == loss.discriminator(real, real)


@every_loss
def test_a_generators_turn_without_real_scores_is_refused(loss: AdversarialLoss) -> None:
    with pytest.raises(ValueError, match="needs real_logits: run the discriminator on real images, too"):
        loss.generator(None, ZERO)


@every_loss
def test_a_gan_scores_real_images_in_the_generators_turn(loss: AdversarialLoss) -> None:
    """It could not train otherwise: without them the loss refuses."""
    module = toy_gan(training=Training(loss=loss, generator_optimizer=fast_adam, discriminator_optimizer=fast_adam))
    before = weights_of(module.generator)
    trainer = toy_trainer(limit_train_batches=2)
    trainer.fit(module, toy_loader())
    assert not equal(before, weights_of(module.generator))
    assert trainer.callback_metrics["generator/adversarial"].isfinite()
