"""A study of which training methods converge, run by `lightning-gan dynamics`.

It has vector fields in closed form, integrators, the table of methods, small GANs on mixtures, and the figures.
"""

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
from lightning_gan.dynamics.methods import BILINEAR_METHODS, DIRAC_METHODS, Method, Outcome, study
from lightning_gan.dynamics.mixtures import GRID, RING, Mixture, MixtureOutcome, compare, coverage

__all__ = [
    "BILINEAR_METHODS",
    "DIRAC_METHODS",
    "GRID",
    "RING",
    "Alternating",
    "Extragradient",
    "Integrator",
    "Method",
    "Mixture",
    "MixtureOutcome",
    "Optimistic",
    "Outcome",
    "Proximal",
    "Simultaneous",
    "compare",
    "coverage",
    "eigenvalues",
    "spectral_radius",
    "study",
    "trajectory",
]
