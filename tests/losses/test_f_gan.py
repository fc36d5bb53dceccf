"""f-GANs against conjugates searched on a grid, divergences of Gaussians known in closed form, and the first GAN."""

import math
from collections.abc import Callable

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, tensor

from lightning_gan.losses import AdversarialLoss, Minimax, NonSaturating
from lightning_gan.losses.divergences import (
    Divergence,
    GoodfellowDivergence,
    JensenShannon,
    KullbackLeibler,
    NeymanChiSquared,
    PearsonChiSquared,
    ReverseKullbackLeibler,
    SquaredHellinger,
    TotalVariation,
)
from lightning_gan.losses.f_gan import FGAN

EVERY_DIVERGENCE: list[Divergence] = [
    KullbackLeibler(),
    ReverseKullbackLeibler(),
    PearsonChiSquared(),
    NeymanChiSquared(),
    SquaredHellinger(),
    JensenShannon(),
    GoodfellowDivergence(),
    TotalVariation(),
]
# All that have a second derivative.
SMOOTH = EVERY_DIVERGENCE[:-1]

# g_f^-1(f'(u)): the logit of the optimal critic where p/q = u.
OPTIMAL_LOGIT: dict[type[Divergence], Callable[[Tensor], Tensor]] = {
    KullbackLeibler: lambda ratio: 1 + ratio.log(),
    ReverseKullbackLeibler: torch.log,
    PearsonChiSquared: lambda ratio: 2 * (ratio - 1),
    NeymanChiSquared: lambda ratio: 2 * ratio.log(),
    SquaredHellinger: lambda ratio: ratio.log() / 2,
    JensenShannon: torch.log,
    GoodfellowDivergence: torch.log,
    TotalVariation: lambda ratio: 1000 * (ratio - 1),
}

every_divergence = pytest.mark.parametrize("divergence", EVERY_DIVERGENCE, ids=lambda value: type(value).__name__)
every_smooth_divergence = pytest.mark.parametrize("divergence", SMOOTH, ids=lambda value: type(value).__name__)


def derivative_of(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    points = points.detach().clone().requires_grad_()
    (slopes,) = torch.autograd.grad(function(points).sum(), points)
    return slopes


def slopes_at(divergence: Divergence, ratios: Tensor) -> Tensor:
    """f'(u)."""
    return derivative_of(divergence.generator_function, ratios)


def ratios(*values: float) -> Tensor:
    return tensor(values, dtype=torch.float64)


def gaussians(shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """log p/q on a fine grid, and the densities p of N(0, 1) and q of N(shift, 1) as weights that sum to 1."""
    grid = torch.linspace(-9, 11, 100_001, dtype=torch.float64)
    real, fake = torch.exp(-(grid**2) / 2), torch.exp(-((grid - shift) ** 2) / 2)
    return shift**2 / 2 - shift * grid, real / real.sum(), fake / fake.sum()


def bound(divergence: Divergence, logits: Tensor, real: Tensor, fake: Tensor) -> float:
    """``E_P g_f(V) - E_Q f*(g_f(V))`` by quadrature."""
    scores, costs = divergence.activation(logits), divergence.conjugate_of_activation(logits)
    return float((real * scores).sum() - (fake * costs).sum())


@pytest.mark.parametrize(
    ("divergence", "threshold", "at_one"),
    [
        (KullbackLeibler(), 1.0, 0.0),
        (ReverseKullbackLeibler(), -1.0, 0.0),
        (PearsonChiSquared(), 0.0, 0.0),
        (NeymanChiSquared(), 0.0, 0.0),
        (SquaredHellinger(), 0.0, 0.0),
        (JensenShannon(), 0.0, 0.0),
        (GoodfellowDivergence(), -math.log(2), -2 * math.log(2)),
        (TotalVariation(), 0.0, 0.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_both_densities_are_equal_it_is_what_the_papers_table_says(
    divergence: Divergence, threshold: float, at_one: float
) -> None:
    """f(1), f'(1) = the threshold, and f*(f'(1)) = f'(1) - f(1)."""
    one = ratios(1.0)
    assert divergence.generator_function(one).item() == pytest.approx(at_one)
    assert slopes_at(divergence, one).item() == pytest.approx(threshold)
    assert divergence.threshold == pytest.approx(threshold)
    assert divergence.conjugate(ratios(threshold)).item() == pytest.approx(threshold - at_one)


@every_divergence
def test_the_conjugate_is_the_largest_gap_between_a_line_and_f(divergence: Divergence) -> None:
    """f*(t) = sup_u (u t - f(u)), searched on a grid of u, at slopes t that f has."""
    grid = torch.linspace(math.log(0.02), math.log(40.0), 400_001, dtype=torch.float64).exp()
    at = slopes_at(divergence, ratios(0.3, 0.9, 1.0, 1.7, 4.0))
    if isinstance(divergence, TotalVariation):  # whose f has two slopes, and lines of all slopes between touch its kink
        grid, at = torch.linspace(0, 3, 300_001, dtype=torch.float64), ratios(-0.4, 0.0, 0.3)
    searched = torch.stack([(slope * grid - divergence.generator_function(grid)).max() for slope in at])
    torch.testing.assert_close(divergence.conjugate(at), searched, rtol=0, atol=1e-8)


@every_divergence
def test_the_composite_is_the_conjugate_of_the_activation(divergence: Divergence) -> None:
    """Beyond 20 too, where exponentials of the logit become straight lines."""
    logits = torch.linspace(-200, 12, 1001, dtype=torch.float64)
    composed = divergence.conjugate(divergence.activation(logits))
    torch.testing.assert_close(divergence.conjugate_of_activation(logits), composed)


@every_divergence
def test_the_activation_grows_with_the_logit(divergence: Divergence) -> None:
    scores = divergence.activation(torch.linspace(-40, 15, 1001, dtype=torch.float64))
    assert (scores.diff() >= 0).all()
    assert (scores[600:].diff() > 0).all()  # from -7 on; a sigmoid or tanh saturates below


@every_smooth_divergence
def test_the_optimal_logit_scores_the_slope_of_f(divergence: Divergence) -> None:
    """g_f(V*) = f'(p/q)."""
    at = ratios(0.1, 0.5, 1.0, 1.7, 6.0)
    optimal = OPTIMAL_LOGIT[type(divergence)](at)
    torch.testing.assert_close(divergence.activation(optimal), slopes_at(divergence, at))


@pytest.mark.parametrize(
    ("divergence", "value"),
    [
        (KullbackLeibler(), 1.7),
        (ReverseKullbackLeibler(), 2.89),
        (PearsonChiSquared(), 0.5),
        (NeymanChiSquared(), 2.4565),
        (SquaredHellinger(), 2 * 1.7**1.5),
        (JensenShannon(), 4.59),
        (GoodfellowDivergence(), 4.59),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_conjugates_curvature_is_one_over_that_of_f(divergence: Divergence, value: float) -> None:
    """f*''(f'(u)) = 1 / f''(u): u, u^2, 1/2, u^3 / 2, 2 u^1.5 and u (1 + u), here at u = 1.7."""
    at = ratios(1.7)
    score = slopes_at(divergence, at)
    assert divergence.conjugate_curvature(score).item() == pytest.approx(value)
    at.requires_grad_()
    (first,) = torch.autograd.grad(divergence.generator_function(at), at, create_graph=True)
    (second,) = torch.autograd.grad(first, at)
    assert 1 / second.item() == pytest.approx(value)


@every_divergence
def test_the_curvature_is_the_conjugates_second_derivative(divergence: Divergence) -> None:
    scores = divergence.activation(torch.linspace(-3, 3, 13, dtype=torch.float64)).requires_grad_()
    (first,) = torch.autograd.grad(divergence.conjugate(scores).sum(), scores, create_graph=True)
    second = torch.zeros_like(scores)
    if first.requires_grad:  # else it is a constant
        (second,) = torch.autograd.grad(first.sum(), scores)
    torch.testing.assert_close(divergence.conjugate_curvature(scores).detach(), second)


@every_divergence
def test_the_curvature_by_the_logit_has_the_activations_slope_squared(divergence: Divergence) -> None:
    logits = torch.tensor([-30.0, -21.0, -4.0, -1.0, 0.0, 0.5, 3.0, 8.0], dtype=torch.float64)
    slopes = derivative_of(divergence.activation, logits)
    composed = divergence.conjugate_curvature(divergence.activation(logits)) * slopes.square()
    torch.testing.assert_close(divergence.logit_curvature(logits), composed)


@every_divergence
def test_nothing_is_won_where_both_distributions_are_equal(divergence: Divergence) -> None:
    """At P = Q the bound is f(1): 0, and -log 4 for the first GAN; the critic's cost is its negative, and minimal."""
    loss = FGAN(divergence=divergence)
    optimal = OPTIMAL_LOGIT[type(divergence)](ratios(1.0)).repeat(4)
    least = loss.discriminator(optimal, optimal).item()
    assert least == pytest.approx(math.log(4) if isinstance(divergence, GoodfellowDivergence) else 0.0)
    for other in (-0.5, 0.3):
        assert loss.discriminator(optimal + other, optimal + other).item() >= least - 1e-12


def normal_distribution(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2


@pytest.mark.parametrize("shift", [0.5, 1.0])
@every_divergence
def test_the_optimum_is_the_divergence_of_shifted_gaussians(divergence: Divergence, shift: float) -> None:
    """Between N(0, 1) and N(m, 1): m^2 / 2, exp(m^2) - 1, 2 - 2 exp(-m^2 / 8), 2 Phi(m / 2) - 1, and 2 JSD."""
    jensen_shannon = {0.5: 0.03031130, 1.0: 0.11142148}[shift]
    known = {
        KullbackLeibler: shift**2 / 2,
        ReverseKullbackLeibler: shift**2 / 2,
        PearsonChiSquared: math.exp(shift**2) - 1,
        NeymanChiSquared: math.exp(shift**2) - 1,
        SquaredHellinger: 2 - 2 * math.exp(-(shift**2) / 8),
        JensenShannon: 2 * jensen_shannon,
        GoodfellowDivergence: 2 * jensen_shannon - math.log(4),
        TotalVariation: 2 * normal_distribution(shift / 2) - 1,
    }[type(divergence)]
    log_ratio, real, fake = gaussians(shift)
    optimal = OPTIMAL_LOGIT[type(divergence)](log_ratio.exp())
    assert bound(divergence, optimal, real, fake) == pytest.approx(known, abs=1e-6)
    assert bound(divergence, optimal * 0.9 + 0.05, real, fake) < known


def test_the_first_gans_critic_is_optimal_at_the_log_ratio() -> None:
    """V* = log p/q = m^2 / 2 - m x: there, the bound has no slope in any logit."""
    log_ratio, real, fake = gaussians(1.5)
    divergence = GoodfellowDivergence()

    def objective(logits: Tensor) -> Tensor:
        return real * divergence.activation(logits) - fake * divergence.conjugate_of_activation(logits)

    assert derivative_of(objective, log_ratio).abs().max() < 1e-12


def test_the_first_gan_is_one_of_the_family() -> None:
    real, fake = torch.randn(16, 1), torch.randn(16, 1)
    tricked, saturating = (
        FGAN(divergence=GoodfellowDivergence()),
        FGAN(divergence=GoodfellowDivergence(), saturating=True),
    )
    torch.testing.assert_close(tricked.discriminator(real, fake), NonSaturating().discriminator(real, fake))
    torch.testing.assert_close(tricked.generator(None, fake), NonSaturating().generator(None, fake))
    torch.testing.assert_close(saturating.generator(None, fake), Minimax().generator(None, fake))


def test_jensen_shannon_differs_from_the_first_gan_by_a_constant() -> None:
    real, fake = torch.randn(16, 1), torch.randn(16, 1)
    loss = FGAN(divergence=JensenShannon())
    difference = NonSaturating().discriminator(real, fake) - loss.discriminator(real, fake)
    assert difference.item() == pytest.approx(math.log(4), abs=1e-5)


@every_divergence
def test_the_saturating_game_is_zero_sum(divergence: Divergence) -> None:
    """Both players' costs have opposite gradients in the fake logits."""
    fake = torch.linspace(-2, 2, 9, requires_grad=True)
    loss = FGAN(divergence=divergence, saturating=True)
    (critics,) = torch.autograd.grad(loss.discriminator(torch.zeros(9), fake), fake)
    (generators,) = torch.autograd.grad(loss.generator(None, fake), fake)
    torch.testing.assert_close(critics, -generators)


@pytest.mark.parametrize("saturating", [False, True])
@every_divergence
def test_both_players_pull_the_scores_apart(divergence: Divergence, saturating: bool) -> None:
    loss = FGAN(divergence=divergence, saturating=saturating)
    real, fake = torch.zeros(2, 1, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    by_real, by_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert (by_real < 0).all() and (by_fake > 0).all()
    (by_fake,) = torch.autograd.grad(loss.generator(None, fake), fake)
    assert (by_fake < 0).all()


@pytest.mark.parametrize("saturating", [False, True])
@every_divergence
def test_huge_logits_neither_overflow_nor_lose_their_gradient(divergence: Divergence, saturating: bool) -> None:
    """exp(100) is no fp32 number; a clamp would leave a critic that is so wrong without a way back."""
    loss = FGAN(divergence=divergence, saturating=saturating)
    for size in (100.0, -100.0, 1000.0, -1000.0):
        real, fake = torch.full((2,), -size, requires_grad=True), torch.full((2,), size, requires_grad=True)
        cost = loss.discriminator(real, fake) + loss.generator(None, fake)
        assert cost.isfinite()
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(cost, (real, fake)))
        assert divergence.logit_curvature(fake).isfinite().all()
    ones, wrong = torch.ones(2), torch.full((2,), 100.0, requires_grad=True)
    if not isinstance(divergence, TotalVariation):  # bounded scores saturate on both sides
        for cost in (loss.discriminator(-wrong, ones), loss.discriminator(ones, wrong)):
            (slopes,) = torch.autograd.grad(cost, wrong)
            assert (slopes > 0).all()


def test_a_configuration_names_the_divergence_by_its_class_path() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AdversarialLoss, "loss")
    settings = {
        "class_path": "lightning_gan.losses.f_gan.FGAN",
        "init_args": {
            "divergence": {"class_path": "lightning_gan.losses.divergences.SquaredHellinger"},
            "saturating": True,
        },
    }
    loss = parser.instantiate_classes(parser.parse_object({"loss": settings})).loss
    assert isinstance(loss, FGAN)
    assert isinstance(loss.divergence, SquaredHellinger)
    assert loss.saturating
