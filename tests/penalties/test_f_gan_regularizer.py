"""Roth's regularizer: closed forms, and its place between R1 and the f-GANs."""

import math

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks.regularizers.gradient_penalty import R1, R2
from lightning_gan.callbacks.regularizers.roth import Roth, RothFGAN
from lightning_gan.losses.divergences import (
    Divergence,
    GoodfellowDivergence,
    JensenShannon,
    KullbackLeibler,
    PearsonChiSquared,
    ReverseKullbackLeibler,
    SquaredHellinger,
)
from lightning_gan.penalties.f_gan_regularizer import (
    annealing_at,
    f_gan_regularizer,
    jensen_shannon_regularizer,
)
from tests.penalties.test_gradient import images_of, linear_critic, turn_of


def one_pixel(values: Tensor) -> Tensor:
    return values.double().view(-1, 1, 1, 1).requires_grad_()


def test_with_zero_logits_it_is_half_the_squared_slope() -> None:
    real, fake = images_of(4, seed=1), images_of(4, seed=2)
    slope = torch.tensor([3.0, 4.0])
    real_logits, fake_logits = (x.flatten(1) @ slope - (x.flatten(1) @ slope).detach() for x in (real, fake))
    value = jensen_shannon_regularizer(real_logits, real, fake_logits, fake)
    assert value.item() == pytest.approx(12.5)


def test_with_zero_logits_it_is_a_quarter_of_r1_and_r2() -> None:
    critic = linear_critic()
    turn = turn_of(lambda images: critic(images) - critic(images).detach())  # type: ignore[arg-type]
    assert Roth(gamma=2.0).weighted(turn).item() == pytest.approx(12.5)  # gamma ||w||^2 / 4
    quarter = (R1(gamma=2.0).weighted(turn) + R2(gamma=2.0).weighted(turn)) / 4
    assert Roth(gamma=2.0).weighted(turn).item() == pytest.approx(quarter.item())


def test_a_critic_that_is_confident_and_right_costs_nothing() -> None:
    real, fake = one_pixel(torch.full((4,), 30.0)), one_pixel(torch.full((4,), -30.0))
    assert jensen_shannon_regularizer(real.flatten(1), real, fake.flatten(1), fake).item() < 1e-20
    assert jensen_shannon_regularizer(fake.flatten(1), fake, real.flatten(1), real).item() == pytest.approx(2.0)


def test_the_weights_take_gradients_too() -> None:
    """D(x) = w x at x = 1 and z = -1: 2 s(-w)^2 w^2 has the derivative 4 w s(-w)^2 - 4 w^2 s(-w)^2 s(w)."""
    slope = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    real, fake = one_pixel(torch.ones(1)), one_pixel(-torch.ones(1))
    value = jensen_shannon_regularizer((slope * real).flatten(1), real, (slope * fake).flatten(1), fake)
    value.backward()
    w, wrong = 0.7, 1 / (1 + math.exp(0.7))
    assert value.item() == pytest.approx(2 * wrong**2 * w**2)
    assert slope.grad is not None
    assert slope.grad.item() == pytest.approx(4 * w * wrong**2 - 4 * w**2 * wrong**2 * (1 - wrong))


def test_a_patch_critics_scores_are_averaged_first() -> None:
    real, fake = images_of(4, seed=1), images_of(4, seed=2)
    to_patches = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
    patches = [x.flatten(1) @ to_patches for x in (real, fake)]
    means = [patch.mean(1, keepdim=True) for patch in patches]
    of_patches = jensen_shannon_regularizer(patches[0], real, patches[1], fake)
    of_means = jensen_shannon_regularizer(means[0], real, means[1], fake)
    torch.testing.assert_close(of_patches, of_means)


def test_the_gradient_scale_enters_squared() -> None:
    values = [Roth(gamma=2.0).weighted(turn_of(linear_critic(), gradient_scale=scale)) for scale in (1.0, 0.25)]
    torch.testing.assert_close(values[1], values[0] / 16)


@pytest.mark.parametrize(
    "divergence",
    [
        KullbackLeibler(),
        ReverseKullbackLeibler(),
        PearsonChiSquared(),
        SquaredHellinger(),
        JensenShannon(),
        GoodfellowDivergence(),
    ],
    ids=lambda divergence: type(divergence).__name__,
)
def test_the_general_form_is_the_same_by_logit_and_by_score(divergence: Divergence) -> None:
    """f*''(T) ||dT/dx||^2 with T = g(V) is what the callback computes from V."""
    slope = torch.tensor([0.5, -0.3], dtype=torch.float64)
    fake = images_of(6).detach().double().requires_grad_()
    logit = fake.flatten(1) @ slope
    score = divergence.activation(logit)
    by_score = f_gan_regularizer(divergence.conjugate_curvature(score), score, fake)
    by_logit = f_gan_regularizer(divergence.logit_curvature(logit), logit, fake)
    torch.testing.assert_close(by_logit, by_score)


def quantiles(count: int) -> Tensor:
    """Of the standard normal distribution, in the middles of `count` slices of equal probability."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return math.sqrt(2) * torch.erfinv(2 * shares - 1)


def test_at_the_optimal_critic_both_forms_agree_on_two_gaussians() -> None:
    """N(0, 1) against N(1, 1.3^2), where the optimal logit is log p/q: both are 0.29118."""

    def logit(x: Tensor) -> Tensor:
        return -(x.square()) / 2 + (x - 1).square() / (2 * 1.3**2) + math.log(1.3)

    real, fake = one_pixel(quantiles(20_000)), one_pixel(1 + 1.3 * quantiles(20_000))
    two_sided = jensen_shannon_regularizer(logit(real).flatten(1), real, logit(fake).flatten(1), fake)
    one_sided = f_gan_regularizer(
        GoodfellowDivergence().logit_curvature(logit(fake).flatten()), logit(fake).flatten(), fake
    )
    assert two_sided.item() == pytest.approx(0.29118483, abs=2e-4)
    assert one_sided.item() == pytest.approx(0.29118483, abs=2e-4)


def test_the_general_callback_weighs_the_fakes_alone() -> None:
    """Pearson's curvature is 1/2 everywhere, so the linear critic costs gamma / 2 * 25 / 2."""
    penalty = RothFGAN(gamma=2.0, divergence=PearsonChiSquared())
    assert penalty.weighted(turn_of(linear_critic())).item() == pytest.approx(12.5)
    assert (penalty.differentiates_real, penalty.differentiates_fake) == (False, True)


def test_annealing_falls_exponentially_to_a_hundredth_and_stays() -> None:
    gammas = [2 * annealing_at(seen, annealing_images=1000, final_factor=0.01) for seen in (0, 500, 1000, 5000)]
    assert gammas == pytest.approx([2.0, 0.2, 0.02, 0.02])
