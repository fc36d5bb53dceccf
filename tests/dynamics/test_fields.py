"""The closed forms of the small games against the games themselves."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_gan.dynamics import BILINEAR_METHODS, DIRAC_METHODS, Method, Simultaneous, eigenvalues, trajectory
from lightning_gan.dynamics.fields import (
    Field,
    consensus,
    instance_noise,
    nagarajan_kolter,
    roth,
    standard,
    zero_centered,
)
from lightning_gan.dynamics.methods import pair
from lightning_gan.losses import AdversarialLoss, Minimax, NonSaturating, Wasserstein
from lightning_gan.penalties import distance_to_target, gradient_at, gradient_norm, interpolated
from lightning_gan.penalties import jensen_shannon_regularizer as roth_regularizer
from lightning_gan.penalties import zero_centered as squared_slope
from lightning_gan.penalties.game_gradients import (
    consensus_size,
    derivative_by,
    game_gradients,
    squared_norm,
    symplectic_of_discriminator,
    symplectic_of_generator,
)
from lightning_gan.penalties.interpolation import noised

POINTS = [(1.0, 1.0), (0.3, -1.7), (-1.2, 0.4)]

Regularizer: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A penalty of the discriminator's weight psi, the real image and the fake, with its factor."""
Rule: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The directions of both players' steps at theta and psi, from costs and penalties of the package."""


def logits(psi: Tensor, images: Tensor) -> Tensor:
    """The package's discriminator is high on real images, the study's ``psi x`` on fakes."""
    return -(psi * images).flatten(1)


def costs(theta: Tensor, psi: Tensor, *, loss: AdversarialLoss, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """The generator's and the discriminator's cost for a real image at 0 and a fake at theta, both moved by `noise`."""
    real_logits = logits(psi, torch.zeros_like(theta).view(1, 1, 1, 1) + noise)
    fake_logits = logits(psi, theta.view(1, 1, 1, 1) + noise)
    return loss.generator(real_logits, fake_logits), loss.discriminator(real_logits, fake_logits)


def descent(theta: Tensor, psi: Tensor, generator_cost: Tensor, discriminator_cost: Tensor) -> tuple[Tensor, Tensor]:
    (by_theta,) = torch.autograd.grad(generator_cost, theta, retain_graph=True)
    (by_psi,) = torch.autograd.grad(discriminator_cost, psi)
    return -by_theta, -by_psi


def plain(loss: AdversarialLoss, *regularizers: Regularizer) -> Rule:
    """Each player descends its cost, the discriminator with penalties on images without a graph to theta."""

    def rule(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        generator_cost, discriminator_cost = costs(theta, psi, loss=loss)
        real, fake = (value.detach().view(1, 1, 1, 1).requires_grad_() for value in (torch.zeros_like(theta), theta))
        penalties = [regularizer(psi, real, fake) for regularizer in regularizers]
        return descent(theta, psi, generator_cost, torch.stack([discriminator_cost, *penalties]).sum())

    return rule


def r1(gamma: float) -> Regularizer:
    return lambda psi, real, fake: gamma / 2 * squared_slope(logits(psi, real), real)


def r2(gamma: float) -> Regularizer:
    return lambda psi, real, fake: gamma / 2 * squared_slope(logits(psi, fake), fake)


def jensen_shannon(gamma: float) -> Regularizer:
    return lambda psi, real, fake: gamma / 2 * roth_regularizer(logits(psi, real), real, logits(psi, fake), fake)


def one_lipschitz(weight: float, points: Callable[[Tensor, Tensor], Tensor]) -> Regularizer:
    def regularizer(psi: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        norms = gradient_norm(gradient_at(partial(logits, psi), points(real, fake)))
        return weight / 2 * distance_to_target(norms, target=1.0).mean()

    return regularizer


def faster_discriminator(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    by_theta, by_psi = plain(Minimax())(theta, psi)
    return by_theta, 2 * by_psi


def noisy(deviation: float) -> Rule:
    """The expectation over Gaussian noise of both images, by 60 nodes of Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite.hermgauss(60)

    def rule(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [costs(theta, psi, loss=Minimax(), noise=deviation * 2**0.5 * float(node)) for node in nodes]
        shares = torch.tensor(weights / np.pi**0.5)
        generator_cost, discriminator_cost = (shares @ torch.stack(values) for values in zip(*pairs, strict=True))
        return descent(theta, psi, generator_cost, discriminator_cost)

    return rule


def both_consensus(loss: AdversarialLoss, gamma: float) -> Rule:
    def rule(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        game = costs(theta, psi, loss=loss)
        size = gamma * consensus_size(game_gradients(*game, generator_weights=[theta], discriminator_weights=[psi]))
        return descent(theta, psi, game[0] + size, game[1] + size)

    return rule


def adjusted(loss: AdversarialLoss, strength: float) -> Rule:
    def rule(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        game = costs(theta, psi, loss=loss)
        part = game_gradients(*game, generator_weights=[theta], discriminator_weights=[psi], by_opponent=True)
        mean = part.refilled([gradient.detach() for gradient in part.flat()])
        by_theta = derivative_by(symplectic_of_generator(part, mean), [theta])[0]
        by_psi = derivative_by(symplectic_of_discriminator(part, mean), [psi])[0]
        assert by_theta is not None and by_psi is not None
        return -part.generator[0] - strength * by_theta, -part.discriminator[0] - strength * by_psi

    return rule


def regularized_generator(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    game = costs(theta, psi, loss=Minimax())
    part = game_gradients(*game, generator_weights=[theta], discriminator_weights=[psi])
    return descent(theta, psi, game[0] + 0.5 * squared_norm(part.discriminator), game[1])


RULES: dict[str, Rule] = {
    "GAN, simultaneous steps": plain(Minimax()),
    "GAN": plain(Minimax()),
    "non-saturating GAN": plain(NonSaturating()),
    "two learning rates, 1 : 2": faster_discriminator,
    "WGAN": plain(Wasserstein()),
    "WGAN, clipped at 1": plain(Wasserstein()),
    "WGAN-GP, λ = 0.7": plain(Wasserstein(), one_lipschitz(0.7, interpolated)),
    "DRAGAN, λ = 0.7": plain(NonSaturating(), one_lipschitz(0.7, lambda real, fake: noised(real, noise=0.5))),
    "instance noise, σ = 0.7": noisy(0.7),
    "R1, γ = 0.3": plain(Minimax(), r1(0.3)),
    "R1, γ = 1 (critical)": plain(Minimax(), r1(1.0)),
    "non-saturating + R1, γ = 0.3": plain(NonSaturating(), r1(0.3)),
    "R1 + R2, γ = 0.3 each": plain(Minimax(), r1(0.3), r2(0.3)),
    "WGAN + R1, γ = 0.3": plain(Wasserstein(), r1(0.3)),
    "Roth, γ = 2 (critical)": plain(Minimax(), jensen_shannon(2.0)),
    "consensus, γ = 1": both_consensus(Minimax(), 1.0),
    "symplectic (SGA), λ = 1": adjusted(Minimax(), 1.0),
    "Nagarajan-Kolter, η = 0.5": regularized_generator,
    "simultaneous gradient": plain(Wasserstein()),
    "alternating gradient": plain(Wasserstein()),
    "proximal point": plain(Wasserstein()),
    "extragradient": plain(Wasserstein()),
    "optimistic": plain(Wasserstein()),
    "consensus or SGA, γ = 0.3": both_consensus(Wasserstein(), 0.3),
}


def direction(rule: Rule, point: tuple[float, float]) -> Tensor:
    theta, psi = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in point)
    return torch.stack(rule(theta, psi)).detach()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("method", (*DIRAC_METHODS, *BILINEAR_METHODS), ids=lambda method: method.name)
def test_every_field_is_the_descent_of_the_packages_own_costs_and_penalties(
    method: Method, point: tuple[float, float]
) -> None:
    at = torch.tensor(point, dtype=torch.float64)
    torch.testing.assert_close(method.field(at), direction(RULES[method.name], point), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("point", POINTS)
def test_on_the_bilinear_game_consensus_and_the_symplectic_adjustment_are_one(point: tuple[float, float]) -> None:
    torch.testing.assert_close(
        direction(adjusted(Wasserstein(), 0.3), point), direction(both_consensus(Wasserstein(), 0.3), point)
    )


def test_roths_discriminator_turns_back_by_the_known_amount() -> None:
    """``f'(1) - 2 (1/4 + q^2 - q^2 (1 - q))`` with ``q = sigmoid(-1)`` is -0.2699634."""
    q = torch.sigmoid(torch.tensor(-1.0, dtype=torch.float64))
    by_hand = (q - 2 * (0.25 + q**2 - q**2 * (1 - q))).item()
    assert roth(torch.ones(2, dtype=torch.float64), gamma=2.0)[1].item() == pytest.approx(by_hand, abs=1e-15)
    assert by_hand == pytest.approx(-0.2699634, abs=1e-7)


def test_instance_noise_of_nothing_is_the_plain_game_and_quadrature_agrees_with_sampling() -> None:
    points = torch.tensor(POINTS, dtype=torch.float64)
    torch.testing.assert_close(instance_noise(points, deviation=1e-9), standard(points))
    theta, psi = POINTS[0]
    noise = 0.7 * torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fake = theta + noise
    push = torch.sigmoid(-psi * fake)
    sampled = [(-psi * push).mean().item(), (fake * push - noise * torch.sigmoid(psi * noise)).mean().item()]
    assert instance_noise(points[0], deviation=0.7).tolist() == pytest.approx(sampled, abs=5e-3)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (partial(zero_centered, base=standard, gamma=0.3), complex(-0.15, 0.4769696)),
        (partial(zero_centered, base=standard, gamma=2.0), complex(-0.1339746)),
        (partial(instance_noise, deviation=0.7), complex(-0.1225, 0.48476154)),
        (partial(instance_noise, deviation=2.0), complex(-0.1339746)),
        (partial(consensus, gamma=10.0), complex(-2.5, 0.5)),
        (partial(nagarajan_kolter, eta=0.5), complex(-0.125, 0.48412292)),
        (partial(roth, gamma=0.6), complex(-0.15, 0.4769696)),  # Roth's gamma acts like half of it as R1's
    ],
)
def test_eigenvalues_at_the_equilibrium(field: Field, expected: complex) -> None:
    assert eigenvalues(field)[0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("gamma", [0.3, 0.999, 1.001, 4.0])
def test_r1_converges_for_every_gamma_and_turns_only_below_one(gamma: float) -> None:
    found = eigenvalues(partial(zero_centered, base=standard, gamma=gamma))
    assert all(value.real < 0 for value in found)
    assert (abs(found[0].imag) > 1e-6) is (gamma < 1)
    for value, closed in zip(found, pair(-gamma / 2, gamma**2 / 4 - 0.25), strict=True):
        assert value == pytest.approx(closed)


def test_trajectories_leave_out_nothing() -> None:
    path = trajectory(Simultaneous(), standard, start=(1.0, 1.0), step_size=0.2, steps=3)
    assert path.shape == (4, 2)
    assert path[0].tolist() == [1.0, 1.0]
