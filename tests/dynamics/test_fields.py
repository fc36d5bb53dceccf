"""The closed forms of the small games against the games themselves."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.dynamics import Simultaneous, eigenvalues, trajectory
from lightning_gan.dynamics.fields import (
    Field,
    consensus,
    instance_noise,
    nagarajan_kolter,
    non_saturating,
    roth,
    standard,
    symplectic,
    zero_centered,
)
from lightning_gan.dynamics.methods import pair
from lightning_gan.penalties.game_gradients import (
    derivative_by,
    game_gradients,
    symplectic_of_discriminator,
    symplectic_of_generator,
)

POINTS = [(1.0, 1.0), (0.3, -1.7), (-1.2, 0.4)]


def costs(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``L_D``, the zero-sum ``L_G`` and the non-saturating one, from the logits ``D(0) = 0`` and ``D(theta)``."""
    fake, real = psi * theta, psi * 0
    discriminator = softplus(-real) + softplus(fake)
    return discriminator, -discriminator, softplus(-fake)


def descent(generator_cost: Tensor, discriminator_cost: Tensor, theta: Tensor, psi: Tensor) -> list[float]:
    (by_theta,) = torch.autograd.grad(generator_cost, theta, retain_graph=True)
    (by_psi,) = torch.autograd.grad(discriminator_cost, psi, retain_graph=True)
    return [-by_theta.item(), -by_psi.item()]


@pytest.mark.parametrize("point", POINTS)
def test_fields_are_the_descent_of_both_players_costs(point: tuple[float, float]) -> None:
    """In the Dirac-GAN with data at 0, softplus(D(theta)) is ``-f(-psi theta)``; by symmetry psi is turned round."""
    theta, psi = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in point)
    at = torch.tensor(point, dtype=torch.float64)
    value = -softplus(-psi * theta)  # f(psi theta), which the discriminator ascends
    assert standard(at).tolist() == pytest.approx(descent(value, -value, theta, psi))
    assert non_saturating(at).tolist() == pytest.approx(descent(softplus(psi * theta), -value, theta, psi))
    (by_theta,) = torch.autograd.grad(value, theta, create_graph=True)
    (by_psi,) = torch.autograd.grad(value, psi, create_graph=True)
    size = (by_theta**2 + by_psi**2) / 2
    expected = descent(value + 0.7 * size, -value + 0.7 * size, theta, psi)
    assert consensus(at, gamma=0.7).tolist() == pytest.approx(expected)
    expected = descent(value + 0.7 * by_psi**2, -value, theta, psi)
    assert nagarajan_kolter(at, eta=0.7).tolist() == pytest.approx(expected)
    score = torch.sigmoid(psi * theta)
    penalty = (psi**2 / 4 + score**2 * psi**2) / 2
    assert roth(at, gamma=2.0).tolist() == pytest.approx(descent(value, -value + 2.0 * penalty, theta, psi))
    expected = descent(value, -value + 0.15 * psi**2, theta, psi)
    assert zero_centered(at, base=standard, gamma=0.3).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("point", POINTS)
def test_the_symplectic_field_is_what_the_callback_computes(point: tuple[float, float]) -> None:
    theta, psi = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in point)
    value = -softplus(-psi * theta)
    part = game_gradients(value, -value, generator_weights=[theta], discriminator_weights=[psi], by_opponent=True)
    mean = part.refilled([gradient.detach() for gradient in part.flat()])
    by_theta = derivative_by(symplectic_of_generator(part, mean), [theta])[0]
    by_psi = derivative_by(symplectic_of_discriminator(part, mean), [psi])[0]
    assert by_theta is not None
    assert by_psi is not None
    at = torch.tensor(point, dtype=torch.float64)
    torch.testing.assert_close(standard(at) - symplectic(at, strength=1.0), torch.stack([by_theta, by_psi]))


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
