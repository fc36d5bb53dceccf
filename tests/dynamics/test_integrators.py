"""Steps on the small games: exact spectral radii, and trajectories digit by digit."""

import math
from functools import partial
from typing import Any

import pytest

from lightning_gan.dynamics import (
    Alternating,
    Extragradient,
    Integrator,
    Optimistic,
    Proximal,
    Simultaneous,
    spectral_radius,
    trajectory,
)
from lightning_gan.dynamics.fields import (
    Field,
    bilinear,
    consensus,
    damped,
    nagarajan_kolter,
    non_saturating,
    roth,
    slope_penalty,
    standard,
    two_learning_rates,
    zero_centered,
)

R1_03 = partial(zero_centered, base=standard, gamma=0.3)
R1_1 = partial(zero_centered, base=standard, gamma=1.0)


@pytest.mark.parametrize(
    ("integrator", "field", "step_size", "radius"),
    [
        (Simultaneous(), standard, 0.2, 1.00498756),
        (Alternating(), standard, 0.2, 1.0),
        (Alternating(), standard, 4.2, 1.8773),  # alpha = h / 2 = 2.1 is beyond 2
        (Alternating(generator_turns=2, discriminator_turns=2), standard, 2.1, 1.8773 / 1.0),
        (Simultaneous(), R1_03, 0.2, 0.97467943),
        (Simultaneous(), R1_1, 0.2, 0.9),
        (Simultaneous(), R1_03, 1.3, 1.0161),
        (Alternating(), R1_03, 0.2, 0.96953597),
        (Alternating(), R1_1, 0.2, 0.92701562),
        (
            Simultaneous(),
            partial(two_learning_rates, base=standard, generator_rate=1.0, discriminator_rate=4.0),
            0.2,
            math.sqrt(1 + 0.2**2),
        ),
        (Simultaneous(), bilinear, 0.6, math.sqrt(1.36)),
        (Alternating(), bilinear, 0.6, 1.0),
        (Proximal(), bilinear, 0.6, 1 / math.sqrt(1.36)),
        (Extragradient(), bilinear, 0.6, 0.87726849),
        (Extragradient(), bilinear, 1.0, 1.0),
        (Optimistic(), bilinear, 0.5, 0.70710678),
        (Optimistic(), bilinear, 0.57, 0.9807),
        (Optimistic(), bilinear, 0.58, 1.0069),
        (Simultaneous(), partial(damped, base=bilinear, gamma=0.3), 0.2, abs(1 + 0.2 * (-0.3 + 1j))),
    ],
)
def test_spectral_radii(integrator: Integrator, field: Field, step_size: float, radius: float) -> None:
    assert spectral_radius(integrator, field, step_size=step_size) == pytest.approx(radius, abs=5e-5)


def test_simultaneous_steps_with_r1_are_stable_below_four_gamma() -> None:
    for step_size, stable in ((1.19, True), (1.21, False)):
        assert (spectral_radius(Simultaneous(), R1_03, step_size=step_size) < 1) is stable


# From (1, 1) with h = 0.2: theta and psi after 1, 10 and 100 simultaneous steps and the distance after 500; psi after
# one alternating step, theta and psi after 100, and the distance after 500.
TRAJECTORIES: list[Any] = [
    pytest.param(
        standard, None, (0.94621172, 1.05378828), (0.25705337, 1.41768217), (0.18810741, 1.95358857), 3.0969487,
        1.05292111, (-1.26990607, -0.59769021), 1.4210189, id="gan",
    ),
    pytest.param(
        non_saturating, None, (0.85378828, 1.05378828), (-0.35826196, 1.20280051), (-0.12135145, -0.7314736), 0.6402071,
        1.05099486, (-0.05400428, -0.57300925), 0.2839234, id="non_saturating",
    ),
    pytest.param(
        bilinear, 1.0, (0.8, 1.0), (-0.92032, 0.608), (0.78720628, 0.99969862), 1.0021520,
        1.0, (-0.18064707, 0.96071137), 1.0241189, id="wgan_clipped",
    ),
    pytest.param(
        bilinear, None, (0.8, 1.2), (-1.59643402, 0.64178422), (-1.04937151, 9.99543475), 25635.974,
        1.16, (-0.46039493, 1.21497444), 1.3978629, id="wgan",
    ),
    pytest.param(
        partial(slope_penalty, base=bilinear, weight=0.7, target=1.0), None,
        (0.8, 1.2), (-1.34008267, 0.53880456), (0.18034364, 1.79022094), 1.8017932,
        1.16, (0.86362869, 1.14978422), 1.2210666, id="wgan_gp",
    ),
    pytest.param(
        R1_03, None, (0.94621172, 0.99378828), (0.3649322, 0.89153697), (-0.07962522, -0.05881095), 2.64e-6,
        0.99292111, (-0.05059947, -0.03407648), 2.3e-7, id="r1",
    ),
    pytest.param(
        R1_1, None, (0.94621172, 0.85378828), (0.55932489, 0.36103893), (0.00028002, 0.00025559), 0.0,
        0.85292111, (0.00088329, 0.00064424), 0.0, id="r1_critical",
    ),
    pytest.param(
        partial(zero_centered, base=non_saturating, gamma=0.3), None,
        (0.85378828, 0.99378828), (-0.12176101, 0.73694382), (-0.03155145, -0.06981037), 2.21e-6,
        0.99099486, (-0.02411483, -0.04206103), 1.5e-7, id="non_saturating_r1",
    ),
    pytest.param(
        partial(consensus, gamma=1.0), None,
        (0.95289666, 1.06047322), (0.48808273, 1.42378687), (-0.01684849, -0.01589355), 0.0,
        1.05787402, (-0.01114653, -0.00863813), 0.0, id="consensus",
    ),
    pytest.param(
        partial(roth, gamma=2.0), None,
        (0.94621172, 0.94600733), (0.46500229, 0.51107187), (-0.00002157, -0.00001545), 0.0,
        0.94296142, (0.00025581, 0.00018703), 0.0, id="roth",
    ),
    pytest.param(
        partial(nagarajan_kolter, eta=0.5), None,
        (0.94232124, 1.05378828), (0.18820667, 1.40918555), (-0.09874209, -0.1200705), 5.5e-5,
        1.05285135, (-0.07299698, -0.07233313), 4.4e-6, id="nagarajan_kolter",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    (
        "field",
        "clip",
        "after_1",
        "after_10",
        "after_100",
        "far",
        "alternating_psi",
        "alternating_100",
        "alternating_far",
    ),
    TRAJECTORIES,
)
def test_trajectories(
    field: Field,
    clip: float | None,
    after_1: tuple[float, float],
    after_10: tuple[float, float],
    after_100: tuple[float, float],
    far: float,
    alternating_psi: float,
    alternating_100: tuple[float, float],
    alternating_far: float,
) -> None:
    settings: Any = {"start": (1.0, 1.0), "step_size": 0.2, "steps": 500, "clip": clip}
    path = trajectory(Simultaneous(), field, **settings)
    for step, expected in ((1, after_1), (10, after_10), (100, after_100)):
        assert path[step].tolist() == pytest.approx(expected, abs=6e-9)
    assert path[500].norm().item() == pytest.approx(far, rel=3e-2 if far < 1e-3 else 1e-6, abs=1e-8)
    path = trajectory(Alternating(), field, **settings)
    assert path[1, 1].item() == pytest.approx(alternating_psi, abs=6e-9)
    assert path[100].tolist() == pytest.approx(alternating_100, abs=6e-9)
    far = alternating_far
    assert path[500].norm().item() == pytest.approx(far, rel=3e-2 if far < 1e-3 else 1e-6, abs=1e-8)


@pytest.mark.slow
def test_what_does_not_converge_stays_away_for_thousands_of_steps() -> None:
    """Alternating steps: the plain game and WGAN-GP stay within bands around the equilibrium."""
    settings: Any = {"start": (1.0, 1.0), "step_size": 0.2, "steps": 5000}
    distances = trajectory(Alternating(), standard, **settings).norm(dim=1)
    assert distances.min().item() == pytest.approx(1.3435, abs=1e-4)
    assert distances.max().item() == pytest.approx(1.4278, abs=1e-4)
    penalised = partial(slope_penalty, base=bilinear, weight=0.7, target=1.0)
    # The path starts within a first turn off the cycle: its seventh step comes as near as 1.1299, and never again.
    distances = trajectory(Alternating(), penalised, **settings).norm(dim=1)[100:]
    assert distances.min().item() == pytest.approx(1.138, abs=5e-4)
    assert distances.max().item() == pytest.approx(1.438, abs=5e-4)


def test_the_proximal_step_solves_its_equation_in_a_curved_field_too() -> None:
    path = trajectory(Proximal(), R1_03, start=(1.0, 1.0), step_size=0.5, steps=1)
    assert path[1].tolist() == pytest.approx((path[0] + 0.5 * R1_03(path[1])).tolist(), abs=1e-12)
