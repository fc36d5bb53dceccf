"""Discrete steps along a vector field: who moves when, and from where the field is read.

A step maps a state, the last one or two points, to the next state. Its Jacobian at an equilibrium decides: distances
shrink as the powers of the spectral radius, the largest absolute value of its eigenvalues.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.dynamics.fields import Field

State: TypeAlias = Float[Tensor, "points 2"]
"""The newest point ``(theta, psi)``, then older ones if the method remembers them."""

Path: TypeAlias = Float[Tensor, "steps 2"]
"""Points in the order in which they were visited."""


class Integrator(ABC):
    """How a training method steps along its vector field."""

    remembered_points: ClassVar[int] = 1
    """How many points a step starts from."""

    @abstractmethod
    def step(self, state: State, *, field: Field, step_size: float) -> State:
        """The next state."""


class Simultaneous(Integrator):
    """Both players move from the same point: ``w + h F(w)``."""

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        return state + step_size * field(state)


@dataclass(frozen=True, kw_only=True)
class Alternating(Integrator):
    """The generator moves, then the discriminator, who sees it.

    Args:
        generator_turns: moves of the generator in a step.
        discriminator_turns: moves of the discriminator in a step.
    """

    generator_turns: int = 1
    discriminator_turns: int = 1

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        for player, turns in enumerate((self.generator_turns, self.discriminator_turns)):
            mask = state.new_tensor([player == 0, player == 1])
            for _ in range(turns):
                state = state + step_size * mask * field(state)
        return state


class Proximal(Integrator):
    """The implicit step ``w' = w + h F(w')`` that all methods with a look ahead approximate."""

    newton_steps: ClassVar[int] = 4
    """The first is exact in linear fields, and a few more are exact to rounding in all others here."""

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        start = state[0]
        identity = torch.eye(2, dtype=state.dtype, device=state.device)
        jacobian = torch.func.jacrev(field)
        point = start
        for _ in range(self.newton_steps):
            residual = point - start - step_size * field(point)
            point = point - torch.linalg.solve(identity - step_size * jacobian(point), residual)
        return point[None]


class Extragradient(Integrator):
    """The field is read where a plain step would lead: ``w + h F(w + h F(w))`` (Korpelevich 1976; arXiv:1802.10551)."""

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        return state + step_size * field(state + step_size * field(state))


class Optimistic(Integrator):
    """``w + 2 h F(w) - h F(w_before)`` (Daskalakis et al. 2018, arXiv:1711.00141, eq. 4)."""

    remembered_points: ClassVar[int] = 2

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        now, before = field(state)
        return torch.stack([state[0] + 2 * step_size * now - step_size * before, state[0]])


def trajectory(
    integrator: Integrator,
    field: Field,
    *,
    start: tuple[float, float],
    step_size: float,
    steps: int,
    clip: float | None = None,
) -> Path:
    """The points of `steps` steps, the start among them.

    Args:
        integrator: how to step.
        field: where to.
        start: theta and psi before the first step; a method that remembers takes it for the point before as well.
        step_size: learning rate of both players.
        steps: how many.
        clip: largest absolute value of psi after a step (weight clipping); None for no clipping.
    """
    state = torch.tensor([start] * integrator.remembered_points, dtype=torch.float64)
    points = [state[0]]
    for _ in range(steps):
        state = integrator.step(state, field=field, step_size=step_size)
        if clip is not None:
            state = torch.stack([state[:, 0], state[:, 1].clamp(-clip, clip)], dim=-1)
        points.append(state[0])
    return torch.stack(points)


def eigenvalues(field: Field) -> list[complex]:
    """Eigenvalues of the field's Jacobian at (0, 0), by automatic differentiation; the one with the larger imaginary
    part, or else the larger real part, comes first."""
    jacobian = torch.func.jacrev(field)(torch.zeros(2, dtype=torch.float64))
    values = [complex(value) for value in torch.linalg.eigvals(jacobian).tolist()]
    return sorted(values, key=lambda value: (round(value.imag, 9), value.real), reverse=True)


def spectral_radius(integrator: Integrator, field: Field, *, step_size: float) -> float:
    """The largest absolute eigenvalue of a step's Jacobian at (0, 0): below 1 the equilibrium attracts."""
    state = torch.zeros(integrator.remembered_points, 2, dtype=torch.float64)
    jacobian = torch.func.jacrev(partial(integrator.step, field=field, step_size=step_size))(state)
    size = state.numel()
    return float(torch.linalg.eigvals(jacobian.reshape(size, size)).abs().max())
