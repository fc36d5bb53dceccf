"""Vector fields of the smallest games, in closed form: where each training method pushes the two players.

The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406, section 2): the data are one point at 0, the generator makes one
point at theta, and the discriminator is ``D(x) = psi x``. With ``f(t) = -log(1 + exp(-t))`` the value of the
game is ``L = f(psi theta) + f(0)``; the generator descends and the discriminator ascends it. Its equilibrium is (0, 0).

Points are ``(theta, psi)`` and fields ``(d theta / dt, d psi / dt)``, over any leading dimensions.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Point: TypeAlias = Float[Tensor, "*points 2"]
"""``(theta, psi)``: the generator's parameter and the discriminator's."""

Field: TypeAlias = Callable[[Tensor], Tensor]
"""Where a training method pushes a point."""


def slope(t: Tensor) -> Tensor:
    """``f'(t) = sigmoid(-t)``: 1/2 at 0."""
    return torch.sigmoid(-t)


def curvature(t: Tensor) -> Tensor:
    """``f''(t) = -sigmoid(t) sigmoid(-t)``: -1/4 at 0."""
    return -torch.sigmoid(t) * torch.sigmoid(-t)


def bilinear(point: Point) -> Point:
    """``min_theta max_psi theta psi``: a pure rotation. It is also the Dirac-GAN with Wasserstein's ``f(t) = t``."""
    theta, psi = point.unbind(-1)
    return torch.stack([-psi, theta], dim=-1)


def standard(point: Point) -> Point:
    """The zero-sum game (Goodfellow et al. 2014, arXiv:1406.2661)."""
    theta, psi = point.unbind(-1)
    push = slope(psi * theta)
    return torch.stack([-psi * push, theta * push], dim=-1)


def non_saturating(point: Point) -> Point:
    """The generator maximises ``f(-psi theta)`` instead of minimising ``f(psi theta)``."""
    theta, psi = point.unbind(-1)
    return torch.stack([-psi * slope(-psi * theta), theta * slope(psi * theta)], dim=-1)


def two_learning_rates(point: Point, *, base: Field, generator_rate: float, discriminator_rate: float) -> Point:
    """A learning rate for each player (Heusel et al. 2017, arXiv:1706.08500)."""
    return base(point) * point.new_tensor([generator_rate, discriminator_rate])


def zero_centered(point: Point, *, base: Field, gamma: float) -> Point:
    """``gamma / 2 * ||dD/dx||^2``, which is ``gamma / 2 * psi^2`` on real points (R1) as on fake ones (R2)."""
    _, psi = point.unbind(-1)
    return base(point) - gamma * torch.stack([torch.zeros_like(psi), psi], dim=-1)


def slope_penalty(point: Point, *, base: Field, weight: float, target: float) -> Point:
    """``weight / 2 * (||dD/dx|| - target)^2``: WGAN-GP's and, as D is linear, also DRAGAN's penalty.

    It jumps where psi changes its sign, so it has no Jacobian at the equilibrium.
    """
    _, psi = point.unbind(-1)
    return base(point) - weight * torch.stack([torch.zeros_like(psi), (psi.abs() - target) * psi.sign()], dim=-1)


def instance_noise(point: Point, *, deviation: float) -> Point:
    """The zero-sum game on samples with Gaussian noise (Sønderby et al. 2017, arXiv:1610.04490).

    Expectations are exact to rounding: Gauss-Hermite quadrature.

    Args:
        point: where.
        deviation: standard deviation of the noise.
    """
    theta, psi = (coordinate[..., None] for coordinate in point.unbind(-1))
    nodes, weights = (point.new_tensor(values) for values in np.polynomial.hermite_e.hermegauss(40))
    weights = weights / math.sqrt(2 * math.pi)
    real = deviation * nodes
    fake = theta + real
    push = slope(psi * fake)
    by_generator = -psi * push
    by_discriminator = fake * push - real * slope(-psi * real)
    return torch.stack([(by_generator * weights).sum(-1), (by_discriminator * weights).sum(-1)], dim=-1)


def roth(point: Point, *, gamma: float) -> Point:
    """``gamma / 2 * (E_real (1 - s)^2 ||dD/dx||^2 + E_fake s^2 ||dD/dx||^2)``, s = sigmoid(D) (Roth et al. 2017,
    arXiv:1705.09367)."""
    theta, psi = point.unbind(-1)
    score = torch.sigmoid(psi * theta)
    penalty = psi / 4 + score.square() * psi + score.square() * (1 - score) * theta * psi.square()
    return standard(point) - gamma * torch.stack([torch.zeros_like(psi), penalty], dim=-1)


def consensus(point: Point, *, gamma: float) -> Point:
    """Both players also descend ``R = 1/2 (theta^2 + psi^2) f'(psi theta)^2`` (Mescheder et al. 2017,
    arXiv:1705.10461)."""
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    size = theta.square() + psi.square()
    by_theta = theta * first.square() + psi * size * first * second
    by_psi = psi * first.square() + theta * size * first * second
    return standard(point) - gamma * torch.stack([by_theta, by_psi], dim=-1)


def symplectic(point: Point, *, strength: float) -> Point:
    """The zero-sum game with ``A' xi`` (Balduzzi et al. 2018, arXiv:1802.05642, section 2.2), without alignment.

    A's only entry is the mixed derivative ``f' + psi theta f''`` of the value.
    """
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    mixed = first + psi * theta * second
    return standard(point) - strength * (first * mixed)[..., None] * point


def nagarajan_kolter(point: Point, *, eta: float) -> Point:
    """The generator also descends ``eta ||dL/dpsi||^2 = eta theta^2 f'(psi theta)^2`` (arXiv:1706.04156)."""
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    penalty = 2 * theta * first.square() + 2 * theta.square() * psi * first * second
    return standard(point) - eta * torch.stack([penalty, torch.zeros_like(psi)], dim=-1)


def damped(point: Point, *, base: Field, gamma: float) -> Point:
    """A pull of strength gamma towards (0, 0): what consensus and the symplectic adjustment add to the bilinear game,
    where ``R = (theta^2 + psi^2) / 2``."""
    return base(point) - gamma * point
