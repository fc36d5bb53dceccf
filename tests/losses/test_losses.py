"""Every objective against its closed forms (values at D = 0, optima of shifted Gaussians) and invariances."""

import math

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.losses import AdversarialLoss, Hinge, LeastSquares, Minimax, NonSaturating, TopK, Wasserstein

EVERY_LOSS = [NonSaturating(), Minimax(), Hinge(), Wasserstein(), LeastSquares()]
ZERO = torch.zeros(4, 1)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (NonSaturating(), 2 * math.log(2), math.log(2)),
        (Minimax(), 2 * math.log(2), -math.log(2)),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
        (LeastSquares(), 0.5, 0.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_critic_that_knows_nothing_costs_what_the_formula_says(
    loss: AdversarialLoss, discriminator: float, generator: float
) -> None:
    assert loss.discriminator(ZERO, ZERO).item() == pytest.approx(discriminator)
    assert loss.generator(None, ZERO).item() == pytest.approx(generator)


def gaussian_ratio(shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """A fine grid, and the densities of N(0, 1) and N(shift, 1) on it, both as weights that sum to 1."""
    grid = torch.linspace(-12, 16, 200_001, dtype=torch.float64)
    real, fake = torch.exp(-(grid**2) / 2), torch.exp(-((grid - shift) ** 2) / 2)
    return grid, real / real.sum(), fake / fake.sum()


@pytest.mark.parametrize(
    ("shift", "minimum"), [(0.5, 1.32567176), (1.0, 1.16345140), (2.0, 0.71263272), (4.0, 0.12085397)]
)
def test_the_logistic_optimum_is_the_jensen_shannon_divergence(shift: float, minimum: float) -> None:
    """2 log 2 - 2 JSD, attained by D* = log p/q = shift^2 / 2 - shift x."""
    grid, real, fake = gaussian_ratio(shift)
    best = shift**2 / 2 - shift * grid
    cost = (real * torch.nn.functional.softplus(-best)).sum() + (fake * torch.nn.functional.softplus(best)).sum()
    assert cost.item() == pytest.approx(minimum, abs=1e-7)
    # The same number from the class, on samples drawn in proportion to the densities' quantiles.
    count = 4001
    quantiles = torch.special.ndtri(torch.linspace(0, 1, count + 2, dtype=torch.float64)[1:-1])
    sampled = NonSaturating().discriminator(shift**2 / 2 - shift * quantiles, -(shift**2) / 2 - shift * quantiles)
    assert sampled.item() == pytest.approx(minimum, abs=2e-3)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_hinge_optimum_is_the_overlap_of_the_distributions(shift: float) -> None:
    """D* = sign(p - q) costs 2 (1 - TV), and TV = 2 Phi(shift / 2) - 1 for shifted Gaussians."""
    count = 20_001
    quantiles = torch.special.ndtri(torch.linspace(0, 1, count + 2, dtype=torch.float64)[1:-1])
    best = (shift / 2 - quantiles).sign(), (shift / 2 - (quantiles + shift)).sign()
    total_variation = math.erf(shift / 2 / math.sqrt(2))
    assert Hinge().discriminator(*best).item() == pytest.approx(2 * (1 - total_variation), abs=1e-3)


def test_scores_beyond_the_margin_cost_the_discriminator_nothing() -> None:
    assert Hinge().discriminator(tensor([1.0, 3.0]), tensor([-1.0, -7.0])) == 0


def test_the_saturating_gradient_vanishes_where_the_other_does_not() -> None:
    """dL/dl is -sigmoid(l) and -sigmoid(-l): equal at 0, their ratio is exp(-l)."""
    for value in (-3.0, 0.0, 2.0):
        logit = tensor([value], requires_grad=True)
        (saturating,) = torch.autograd.grad(Minimax().generator(None, logit), logit)
        (other,) = torch.autograd.grad(NonSaturating().generator(None, logit), logit)
        assert saturating.item() == pytest.approx(-1 / (1 + math.exp(-value)))
        assert (other / saturating).item() == pytest.approx(math.exp(-value), rel=1e-5)


@pytest.mark.parametrize(
    "loss", [*EVERY_LOSS, TopK(loss=Wasserstein(), fraction=0.5)], ids=lambda loss: type(loss).__name__
)
def test_losses_say_whether_they_ignore_a_constant_added_to_the_critic(loss: AdversarialLoss) -> None:
    """Of all losses, Wasserstein alone does."""
    real, fake = torch.randn(8, 1), torch.randn(8, 1)
    change = loss.discriminator(real + 5, fake + 5).item() - loss.discriminator(real, fake).item()
    assert loss.ignores_shifts == (abs(change) < 1e-5)


def test_hinge_and_wasserstein_agree_for_the_generator() -> None:
    fake = torch.randn(8, 1)
    assert torch.equal(Hinge().generator(None, fake), Wasserstein().generator(None, fake))


def test_least_squares_is_a_quarter_where_the_optimal_critic_says_one_half() -> None:
    half = torch.full((4, 1), 0.5)
    assert LeastSquares().discriminator(half, half) == 0.25


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: type(loss).__name__)
def test_the_order_of_samples_does_not_matter(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(8, 1, dtype=torch.float64), torch.randn(8, 1, dtype=torch.float64)
    order = torch.randperm(8)
    torch.testing.assert_close(loss.discriminator(real, fake), loss.discriminator(real[order], fake[order.flip(0)]))


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: type(loss).__name__)
def test_both_players_pull_the_scores_apart(loss: AdversarialLoss) -> None:
    """Near 0 the discriminator raises real scores and lowers fake ones; the generator raises fake ones."""
    real, fake = torch.zeros(2, 1, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    by_real, by_fake = torch.autograd.grad(loss.discriminator(real, fake + 1e-3), (real, fake))
    assert (by_real < 0).all()
    assert (by_fake > 0).all()
    (by_fake,) = torch.autograd.grad(loss.generator(None, fake), fake)
    assert (by_fake < 0).all()
