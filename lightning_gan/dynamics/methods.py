"""The methods that the study compares, each with its eigenvalues at the equilibrium in closed form.

The eigenvalues for the Dirac-GAN are from Mescheder et al. 2018 (arXiv:1801.04406, appendix), with ``f'(0) = 1/2`` and
``f''(0) = -1/4``. If the paper's figure shows the method, the settings are those of the figure.
"""

import cmath
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lightning_gan.dynamics.fields import (
    Field,
    bilinear,
    consensus,
    damped,
    instance_noise,
    nagarajan_kolter,
    non_saturating,
    roth,
    slope_penalty,
    standard,
    symplectic,
    two_learning_rates,
    zero_centered,
)
from lightning_gan.dynamics.integrators import (
    Alternating,
    Extragradient,
    Integrator,
    Optimistic,
    Proximal,
    Simultaneous,
    eigenvalues,
    spectral_radius,
    trajectory,
)
from lightning_gan.dynamics.integrators import Path as Trajectory


def pair(real_part: float, radicand: float) -> tuple[complex, complex]:
    """Returns ``real_part + sqrt(radicand)`` and ``real_part - sqrt(radicand)``.

    Example:
        >>> pair(-1.5, 1.25)[0].real
        -0.3819660112501051
    """
    root = cmath.sqrt(radicand)
    return real_part + root, real_part - root


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method on one of the small games.

    Attributes:
        name: name of the method in the table and above its panel.
        game: name of the game, "Dirac-GAN" or "bilinear".
        field: vector field of the method's steps.
        integrator: rule of a step along the field.
        eigenvalues: eigenvalues of the field's Jacobian at the equilibrium in closed form; None if the field is
            discontinuous there.
        clip: largest absolute value of psi (weight clipping); None for no clipping.
        radius: spectral radius of a step as a function of the step size in closed form; None if there is none here.
    """

    name: str
    game: str
    field: Field
    integrator: Integrator
    eigenvalues: tuple[complex, complex] | None
    clip: float | None = None
    radius: Callable[[float], float] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The study's results for a method.

    Attributes:
        method: the method.
        eigenvalues: eigenvalues of the field's Jacobian at the equilibrium by automatic differentiation; None if the
            field is discontinuous there.
        radius: spectral radius of a step at the equilibrium by automatic differentiation; None if the field is
            discontinuous there.
        path: trajectory from the start.
    """

    method: Method
    eigenvalues: list[complex] | None
    radius: float | None
    path: Trajectory

    @property
    def converges(self) -> bool:
        """Whether steps near the equilibrium reduce the distance from it by a constant factor."""
        return self.radius is not None and self.radius < 1 - 1e-9

    @property
    def distance(self) -> float:
        """The distance from the equilibrium after the last step."""
        return float(self.path[-1].norm())


def study(method: Method, *, start: tuple[float, float], step_size: float, steps: int) -> Outcome:
    """Computes the results of a method for the table and the figure.

    Args:
        method: the method.
        start: theta and psi before the first step.
        step_size: learning rate of both players.
        steps: number of steps.
    """
    smooth = method.eigenvalues is not None
    return Outcome(
        method=method,
        eigenvalues=eigenvalues(method.field) if smooth else None,
        radius=spectral_radius(method.integrator, method.field, step_size=step_size) if smooth else None,
        path=trajectory(
            method.integrator, method.field, start=start, step_size=step_size, steps=steps, clip=method.clip
        ),
    )


def _dirac(
    name: str,
    field: Field,
    closed_form: tuple[complex, complex] | None,
    *,
    integrator: Integrator | None = None,
    clip: float | None = None,
) -> Method:
    return Method(
        name=name,
        game="Dirac-GAN",
        field=field,
        integrator=integrator if integrator is not None else Alternating(),
        eigenvalues=closed_form,
        clip=clip,
    )


DIRAC_METHODS: tuple[Method, ...] = (
    _dirac("GAN, simultaneous steps", standard, pair(0.0, -0.25), integrator=Simultaneous()),
    _dirac("GAN", standard, pair(0.0, -0.25)),
    _dirac("non-saturating GAN", non_saturating, pair(0.0, -0.25)),
    _dirac(
        "two learning rates, 1 : 2",
        partial(two_learning_rates, base=standard, generator_rate=1.0, discriminator_rate=2.0),
        pair(0.0, -0.5),
    ),
    _dirac("WGAN", bilinear, pair(0.0, -1.0)),
    _dirac("WGAN, clipped at 1", bilinear, pair(0.0, -1.0), clip=1.0),
    _dirac("WGAN-GP, λ = 0.7", partial(slope_penalty, base=bilinear, weight=0.7, target=1.0), None),
    _dirac("DRAGAN, λ = 0.7", partial(slope_penalty, base=non_saturating, weight=0.7, target=1.0), None),
    _dirac(
        "instance noise, σ = 0.7",
        partial(instance_noise, deviation=0.7),
        pair(-(0.7**2) / 4, 0.7**4 / 16 - 0.25),
    ),
    _dirac("R1, γ = 0.3", partial(zero_centered, base=standard, gamma=0.3), pair(-0.15, 0.3**2 / 4 - 0.25)),
    _dirac("R1, γ = 1 (critical)", partial(zero_centered, base=standard, gamma=1.0), pair(-0.5, 0.0)),
    _dirac(
        "non-saturating + R1, γ = 0.3",
        partial(zero_centered, base=non_saturating, gamma=0.3),
        pair(-0.15, 0.3**2 / 4 - 0.25),
    ),
    _dirac("R1 + R2, γ = 0.3 each", partial(zero_centered, base=standard, gamma=0.6), pair(-0.3, 0.3**2 - 0.25)),
    _dirac("WGAN + R1, γ = 0.3", partial(zero_centered, base=bilinear, gamma=0.3), pair(-0.15, 0.3**2 / 4 - 1)),
    _dirac("Roth, γ = 2 (critical)", partial(roth, gamma=2.0), pair(-0.5, 0.0)),
    _dirac("consensus, γ = 1", partial(consensus, gamma=1.0), pair(-0.25, -0.25)),
    _dirac("symplectic (SGA), λ = 1", partial(symplectic, strength=1.0), pair(-0.25, -0.25)),
    _dirac("Nagarajan-Kolter, η = 0.5", partial(nagarajan_kolter, eta=0.5), pair(-0.125, 0.5**2 / 16 - 0.25)),
)
"""Methods on the Dirac-GAN; their steps are alternating unless the name says otherwise."""


def _gradient_radius(step_size: float) -> float:
    return abs(1 + 1j * step_size)


def _alternating_radius(step_size: float) -> float:
    # The step is a product of two shears with determinant 1 and trace 2 - h^2: up to h = 2 the radius is 1.
    half_trace = 1 - step_size**2 / 2
    return max(abs(value) for value in pair(half_trace, half_trace**2 - 1))


def _proximal_radius(step_size: float) -> float:
    return 1 / abs(1 - 1j * step_size)


def _extragradient_radius(step_size: float) -> float:
    return abs(1 + 1j * step_size * (1 + 1j * step_size))


def _optimistic_radius(step_size: float) -> float:
    # The eigenvalues are the roots of r^2 - (1 + 2ih) r + ih.
    half = (1 + 2j * step_size) / 2
    root = cmath.sqrt(half**2 - 1j * step_size)
    return max(abs(half + root), abs(half - root))


_DAMPING = 0.3


def _damped_radius(step_size: float) -> float:
    return abs(1 + step_size * (-_DAMPING + 1j))


BILINEAR_METHODS: tuple[Method, ...] = tuple(
    Method(name=name, game="bilinear", field=field, integrator=integrator, eigenvalues=flow, radius=radius)
    for name, field, integrator, flow, radius in (
        ("simultaneous gradient", bilinear, Simultaneous(), pair(0.0, -1.0), _gradient_radius),
        ("alternating gradient", bilinear, Alternating(), pair(0.0, -1.0), _alternating_radius),
        ("proximal point", bilinear, Proximal(), pair(0.0, -1.0), _proximal_radius),
        ("extragradient", bilinear, Extragradient(), pair(0.0, -1.0), _extragradient_radius),
        ("optimistic", bilinear, Optimistic(), pair(0.0, -1.0), _optimistic_radius),
        (
            f"consensus or SGA, γ = {_DAMPING}",
            partial(damped, base=bilinear, gamma=_DAMPING),
            Simultaneous(),
            pair(-_DAMPING, -1.0),
            _damped_radius,
        ),
    )
)
"""Methods on the game ``min_theta max_psi theta psi``: different steps, and a penalty of the players' gradients."""


def table(outcomes: list[Outcome]) -> str:
    """Returns the outcomes as a Markdown table."""
    rows = [
        "| game | method | eigenvalues (autograd) | closed form | radius of a step | distance at the end | converges |",
        "|---|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        method = outcome.method
        cells = [
            method.game,
            method.name,
            _written(outcome.eigenvalues),
            _written(method.eigenvalues),
            "none: it jumps" if outcome.radius is None else f"{outcome.radius:.6f}",
            f"{outcome.distance:.2g}",
            "yes" if outcome.converges else "no",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _written(values: tuple[complex, ...] | list[complex] | None) -> str:
    """Returns the text of a table cell: a conjugate pair with one ± sign, or two real eigenvalues.

    Example:
        >>> _written(pair(-0.25, -0.25)), _written(pair(-1.0, 0.25)), _written(None)
        ('-0.2500 ± 0.5000i', '-0.5000, -1.5000', 'none: it jumps')
    """
    if values is None:
        return "none: it jumps"
    first, second = values
    if abs(first.imag) > 1e-6:
        real = first.real if abs(first.real) > 5e-5 else 0.0
        return f"{real:.4f} ± {abs(first.imag):.4f}i"
    return f"{first.real:.4f}, {second.real:.4f}"
