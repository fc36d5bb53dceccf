"""Integrators: discrete steps along a vector field, as optimizers take them.

A step maps a state, which is the last one or two points, to the next state. Near an equilibrium each step multiplies
the distance by about the spectral radius of the step's Jacobian there, the largest absolute value of its eigenvalues.
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
"""The newest point ``(theta, psi)``, followed by an older one if the method needs it."""

Path: TypeAlias = Float[Tensor, "steps 2"]
"""The points of a trajectory in order."""


class Integrator(ABC):
    """Base class of integrators: the rule by which a training method steps along its vector field F."""

    remembered_points: ClassVar[int] = 1
    """Number of points in a state."""

    @abstractmethod
    def step(self, state: State, *, field: Field, step_size: float) -> State:
        """Returns the next state.

        Args:
            state: current state.
            field: vector field F.
            step_size: learning rate h of both players.
        """


class Simultaneous(Integrator):
    """Both players step from the same point: ``w + h F(w)``."""

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        return state + step_size * field(state)


@dataclass(frozen=True, kw_only=True)
class Alternating(Integrator):
    """The generator takes its turns, and then the discriminator takes its turns from the point thus reached.

    Args:
        generator_turns: number of turns of the generator in a step.
        discriminator_turns: number of turns of the discriminator in a step.
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
    """The implicit step ``w' = w + h F(w')``, which extragradient and optimistic steps approximate."""

    newton_steps: ClassVar[int] = 4
    """Number of Newton steps. One is exact for linear fields; four are exact to rounding for all other fields here."""

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
    """A step by the field at the end of a plain step: ``w + h F(w + h F(w))`` (Korpelevich 1976, arXiv:1802.10551)."""

    def step(self, state: State, *, field: Field, step_size: float) -> State:
        return state + step_size * field(state + step_size * field(state))


class Optimistic(Integrator):
    """The optimistic step ``w + 2 h F(w) - h F(w_before)`` (Daskalakis et al. 2018, arXiv:1711.00141, eq. 4)."""

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
    """Returns the start and the points after each of `steps` steps.

    Args:
        integrator: rule of a step.
        field: vector field to step along.
        start: theta and psi before the first step; a method with two points in its state uses it for both.
        step_size: learning rate of both players.
        steps: number of steps.
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
    """Returns the eigenvalues of the field's Jacobian at (0, 0), computed by automatic differentiation.

    The eigenvalue with the larger imaginary part, or, if these are equal, with the larger real part, comes first.
    """
    jacobian = torch.func.jacrev(field)(torch.zeros(2, dtype=torch.float64))
    values = [complex(value) for value in torch.linalg.eigvals(jacobian).tolist()]
    return sorted(values, key=lambda value: (round(value.imag, 9), value.real), reverse=True)


def spectral_radius(integrator: Integrator, field: Field, *, step_size: float) -> float:
    """Returns the largest absolute eigenvalue of a step's Jacobian at (0, 0).

    If it is less than 1, steps that start near the equilibrium converge to it.

    Args:
        integrator: rule of a step.
        field: vector field to step along.
        step_size: learning rate of both players.
    """
    state = torch.zeros(integrator.remembered_points, 2, dtype=torch.float64)
    jacobian = torch.func.jacrev(partial(integrator.step, field=field, step_size=step_size))(state)
    size = state.numel()
    return float(torch.linalg.eigvals(jacobian.reshape(size, size)).abs().max())
