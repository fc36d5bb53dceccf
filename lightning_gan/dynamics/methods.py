"""The methods that the study compares, each with the closed form of its eigenvalues at the equilibrium.

The Dirac-GAN's are from Mescheder et al. 2018 (arXiv:1801.04406, appendix), with ``f'(0) = 1/2`` and ``f''(0) = -1/4``
put in; settings are those of the paper's figure where it has the method.
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
    """``real_part ± sqrt(radicand)``.

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
        name: as it stands in the table and above its panel.
        game: "Dirac-GAN" or "bilinear".
        field: where it pushes the players.
        integrator: how it steps.
        eigenvalues: of the field's Jacobian at the equilibrium, in closed form; None where the field jumps there.
        clip: weight clipping, None for none.
        radius: closed form of the step's spectral radius as a function of the step size, if the study asserts it.
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
    """What the study found of a method.

    Attributes:
        method: of which.
        eigenvalues: of the field's Jacobian at the equilibrium by automatic differentiation; None where it jumps.
        radius: spectral radius of a step at the equilibrium by automatic differentiation; None where the field jumps.
        path: the trajectory from the start.
    """

    method: Method
    eigenvalues: list[complex] | None
    radius: float | None
    path: Trajectory

    @property
    def converges(self) -> bool:
        """Whether steps come closer to the equilibrium by a constant factor."""
        return self.radius is not None and self.radius < 1 - 1e-9

    @property
    def distance(self) -> float:
        """From the equilibrium, after the last step."""
        return float(self.path[-1].norm())


def study(method: Method, *, start: tuple[float, float], step_size: float, steps: int) -> Outcome:
    """Everything the table and the figure show of a method."""
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
"""The Dirac-GAN, in alternating steps unless the name says otherwise."""


def _gradient_radius(step_size: float) -> float:
    return abs(1 + 1j * step_size)


def _alternating_radius(step_size: float) -> float:
    # A product of two shears: determinant 1 and trace 2 - h^2, so on the unit circle up to h = 2.
    half_trace = 1 - step_size**2 / 2
    return max(abs(value) for value in pair(half_trace, half_trace**2 - 1))


def _proximal_radius(step_size: float) -> float:
    return 1 / abs(1 - 1j * step_size)


def _extragradient_radius(step_size: float) -> float:
    return abs(1 + 1j * step_size * (1 + 1j * step_size))


def _optimistic_radius(step_size: float) -> float:
    # The roots of r^2 - (1 + 2ih) r + ih.
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
"""``min_theta max_psi theta psi``: the same field under different steps, and with the players' gradients penalised."""


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table."""
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
    """Two eigenvalues in a cell: a conjugate pair by one sign, else both.

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
