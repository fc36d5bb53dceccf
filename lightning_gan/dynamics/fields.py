"""Gradient vector fields of two small games in closed form, for each training method.

In the Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406, section 2) the data are one point at 0, the generator makes
one point at theta, and the discriminator is ``D(x) = psi x``. With ``f(t) = -log(1 + exp(-t))`` the value of the game
is ``L = f(psi theta) + f(0)``; the generator minimizes and the discriminator maximizes it. Its equilibrium is (0, 0).
As in the paper, D is high on generated points: the logit of the other rooms, which is high on real ones, is -D.

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
"""A vector field: it maps a point to the direction of a training method's steps there."""


def slope(t: Tensor) -> Tensor:
    """Returns ``f'(t) = sigmoid(-t)``, which is 1/2 at 0."""
    return torch.sigmoid(-t)


def curvature(t: Tensor) -> Tensor:
    """Returns ``f''(t) = -sigmoid(t) sigmoid(-t)``, which is -1/4 at 0."""
    return -torch.sigmoid(t) * torch.sigmoid(-t)


def bilinear(point: Point) -> Point:
    """Field of ``min_theta max_psi theta psi``, a pure rotation.

    It is also the field of the Dirac-GAN with the Wasserstein loss, ``f(t) = t``.
    """
    theta, psi = point.unbind(-1)
    return torch.stack([-psi, theta], dim=-1)


def standard(point: Point) -> Point:
    """Field of the zero-sum game (Goodfellow et al. 2014, arXiv:1406.2661)."""
    theta, psi = point.unbind(-1)
    push = slope(psi * theta)
    return torch.stack([-psi * push, theta * push], dim=-1)


def non_saturating(point: Point) -> Point:
    """Field of the non-saturating loss: the generator maximizes ``f(-psi theta)`` instead of minimizing
    ``f(psi theta)``."""
    theta, psi = point.unbind(-1)
    return torch.stack([-psi * slope(-psi * theta), theta * slope(psi * theta)], dim=-1)


def two_learning_rates(point: Point, *, base: Field, generator_rate: float, discriminator_rate: float) -> Point:
    """Field with a separate learning rate for each player (Heusel et al. 2017, arXiv:1706.08500).

    Args:
        point: points at which the field is computed.
        base: field without the rates.
        generator_rate: factor of the generator's part.
        discriminator_rate: factor of the discriminator's part.
    """
    return base(point) * point.new_tensor([generator_rate, discriminator_rate])


def zero_centered(point: Point, *, base: Field, gamma: float) -> Point:
    """Field with the penalty ``gamma / 2 * ||dD/dx||^2 = gamma / 2 * psi^2``, which is the same for R1 and R2.

    Args:
        point: points at which the field is computed.
        base: field without the penalty.
        gamma: weight of the penalty.
    """
    _, psi = point.unbind(-1)
    return base(point) - gamma * torch.stack([torch.zeros_like(psi), psi], dim=-1)


def slope_penalty(point: Point, *, base: Field, weight: float, target: float) -> Point:
    """Field with the penalty ``weight / 2 * (||dD/dx|| - target)^2`` of WGAN-GP and, because D is linear, of DRAGAN.

    It is discontinuous where psi changes its sign, so that it has no Jacobian at the equilibrium.

    Args:
        point: points at which the field is computed.
        base: field without the penalty.
        weight: weight of the penalty.
        target: target of the gradient's norm.
    """
    _, psi = point.unbind(-1)
    return base(point) - weight * torch.stack([torch.zeros_like(psi), (psi.abs() - target) * psi.sign()], dim=-1)


def instance_noise(point: Point, *, deviation: float) -> Point:
    """Field of the zero-sum game on samples with Gaussian noise (Sønderby et al. 2017, arXiv:1610.04490).

    Expectations are computed by Gauss-Hermite quadrature, which is exact to rounding.

    Args:
        point: points at which the field is computed.
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
    """Field of the zero-sum game with the penalty of Roth et al. 2017 (arXiv:1705.09367).

    The penalty is ``gamma / 2 * (E_real (1 - p)^2 ||dD/dx||^2 + E_fake p^2 ||dD/dx||^2)``, where p is the probability
    of being real. D is high on fakes here, so that ``p = sigmoid(-D)``: it is 1/2 for the data and
    ``q = sigmoid(-psi theta)`` for the fake. By psi, the penalty has the gradient
    ``gamma (psi/4 + q^2 psi - q^2 (1 - q) theta psi^2)``.
    """
    theta, psi = point.unbind(-1)
    fake = torch.sigmoid(-psi * theta)
    penalty = psi / 4 + fake.square() * psi - fake.square() * (1 - fake) * theta * psi.square()
    return standard(point) - gamma * torch.stack([torch.zeros_like(psi), penalty], dim=-1)


def consensus(point: Point, *, gamma: float) -> Point:
    """Field of the zero-sum game with consensus optimization (Mescheder et al. 2017, arXiv:1705.10461).

    Both players also minimize ``gamma R`` with ``R = 1/2 (theta^2 + psi^2) f'(psi theta)^2``.
    """
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    size = theta.square() + psi.square()
    by_theta = theta * first.square() + psi * size * first * second
    by_psi = psi * first.square() + theta * size * first * second
    return standard(point) - gamma * torch.stack([by_theta, by_psi], dim=-1)


def symplectic(point: Point, *, strength: float) -> Point:
    """Field of the zero-sum game with the adjustment ``strength A' xi``, without alignment.

    The source is Balduzzi et al. 2018, arXiv:1802.05642, section 2.2. Up to signs, A's only entry is the mixed
    derivative ``f' + psi theta f''`` of the value.
    """
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    mixed = first + psi * theta * second
    return standard(point) - strength * (first * mixed)[..., None] * point


def nagarajan_kolter(point: Point, *, eta: float) -> Point:
    """Field of the zero-sum game with the regularizer of Nagarajan and Kolter (arXiv:1706.04156).

    The generator also minimizes ``eta ||dL/dpsi||^2 = eta theta^2 f'(psi theta)^2``.
    """
    theta, psi = point.unbind(-1)
    first, second = slope(psi * theta), curvature(psi * theta)
    penalty = 2 * theta * first.square() + 2 * theta.square() * psi * first * second
    return standard(point) - eta * torch.stack([penalty, torch.zeros_like(psi)], dim=-1)


def damped(point: Point, *, base: Field, gamma: float) -> Point:
    """Field with the additional term ``-gamma (theta, psi)``.

    Consensus optimization and the symplectic adjustment add this term to the bilinear game, for which
    ``R = (theta^2 + psi^2) / 2``.

    Args:
        point: points at which the field is computed.
        base: field without the term.
        gamma: weight of the term.
    """
    return base(point) - gamma * point
