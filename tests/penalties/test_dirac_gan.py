"""The Dirac-GAN: D(x) = psi x, real images at 0, fakes at theta. How penalties turn its circles into spirals."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.penalties.f_gan_regularizer import jensen_shannon_regularizer
from lightning_gan.penalties.gradient import zero_centered
from lightning_gan.tensors.shapes import Images, Logits, Scalar

Regularizer: TypeAlias = Callable[[Logits, Images, Logits, Images], Scalar]


def r1(real_logits: Logits, real: Images, fake_logits: Logits, fake: Images) -> Scalar:
    return zero_centered(real_logits, real)


def field(players: Tensor, regularizer: Regularizer, *, gamma: float) -> Tensor:
    """Where (theta, psi) move in the zero-sum game: the critic pays softplus(D(theta)) and the penalty, theta gains."""
    players = players.detach().requires_grad_()
    theta, psi = players.unbind()
    real = torch.zeros(1, 1, 1, 1, dtype=torch.float64).requires_grad_()
    fake = theta.detach().view(1, 1, 1, 1).requires_grad_()
    penalty = regularizer((psi * real).flatten(1), real, (psi * fake).flatten(1), fake)
    (by_players,) = torch.autograd.grad(softplus(psi * fake).sum() + gamma / 2 * penalty, players)
    return torch.stack([psi * torch.sigmoid(psi * theta), -by_players[1]]).detach()


def jacobian(regularizer: Regularizer, *, gamma: float, shift: float = 1e-5) -> Tensor:
    """Of the field at the equilibrium (0, 0), by central differences."""
    axes = shift * torch.eye(2, dtype=torch.float64)
    ahead = [field(axis, regularizer, gamma=gamma) for axis in axes]
    behind = [field(-axis, regularizer, gamma=gamma) for axis in axes]
    return torch.stack([(a - b) / (2 * shift) for a, b in zip(ahead, behind, strict=True)], dim=1)


def sorted_eigenvalues(matrix: Tensor) -> Tensor:
    values = torch.linalg.eigvals(matrix)
    return values[(values.real + 10 * values.imag).argsort()]


@pytest.mark.parametrize("gamma", [0.3, 1.5, 2.5, 5.0])
@pytest.mark.parametrize(("regularizer", "rate"), [(r1, 0.5), (jensen_shannon_regularizer, 0.25)], ids=["r1", "roth"])
def test_the_equilibrium_has_the_known_eigenvalues(regularizer: Regularizer, rate: float, gamma: float) -> None:
    """-d +- sqrt(d^2 - 1/4), with d = gamma / 2 for R1 and half of that for Roth: both converge for every gamma."""
    damping = rate * gamma
    root = torch.sqrt(torch.tensor(damping**2 - 0.25, dtype=torch.complex128))
    known = torch.stack([-damping - root, -damping + root])
    torch.testing.assert_close(
        sorted_eigenvalues(jacobian(regularizer, gamma=gamma)),
        known[(known.real + 10 * known.imag).argsort()],
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize(("step", "converges"), [(0.2, True), (1.19, True), (1.21, False)])
def test_under_r1_steps_below_four_gamma_converge(step: float, converges: bool) -> None:
    """Simultaneous descent contracts as long as h < gamma / f'(0)^2 = 4 gamma, here 1.2."""
    eigenvalues = sorted_eigenvalues(torch.eye(2, dtype=torch.float64) + step * jacobian(r1, gamma=0.3))
    assert (eigenvalues.abs().max().item() < 1) is converges
    assert eigenvalues.abs().max().item() == pytest.approx((1 - step * 0.3 + step**2 / 4) ** 0.5, abs=1e-6)


def test_without_penalty_it_circles() -> None:
    """+- i/2: no damping at all."""
    eigenvalues = sorted_eigenvalues(jacobian(r1, gamma=0.0))
    torch.testing.assert_close(eigenvalues, torch.tensor([-0.5j, 0.5j], dtype=torch.complex128))
