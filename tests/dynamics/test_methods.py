"""The table of methods: every closed form is what automatic differentiation finds."""

import pytest

from lightning_gan.dynamics import BILINEAR_METHODS, DIRAC_METHODS, Method, study
from lightning_gan.dynamics.methods import table


@pytest.mark.parametrize("method", (*DIRAC_METHODS, *BILINEAR_METHODS), ids=lambda method: method.name)
def test_closed_forms_are_what_automatic_differentiation_finds(method: Method) -> None:
    outcome = study(method, start=(1.0, 1.0), step_size=0.2, steps=1)
    if method.eigenvalues is None:
        assert (outcome.eigenvalues, outcome.radius, outcome.converges) == (None, None, False)
        return
    assert outcome.eigenvalues is not None
    for found, closed in zip(outcome.eigenvalues, method.eigenvalues, strict=True):
        # A double root moves by the square root of a rounding error.
        assert found == pytest.approx(closed, abs=1e-7)
    if method.radius is not None:
        assert outcome.radius == pytest.approx(method.radius(0.2), abs=1e-12)


def test_verdicts_are_those_of_the_paper() -> None:
    """Mescheder et al. 2018, table 1: only what penalises the gradient or adds noise converges."""
    outcomes = [study(method, start=(1.0, 1.0), step_size=0.2, steps=1) for method in DIRAC_METHODS]
    verdicts = {outcome.method.name.split(",")[0]: outcome.converges for outcome in outcomes}
    cycling = {"GAN", "non-saturating GAN", "two learning rates", "WGAN", "WGAN-GP", "DRAGAN"}
    assert {name for name, converges in verdicts.items() if not converges} == cycling


def test_a_flow_converges_where_both_real_parts_are_negative_and_so_do_its_small_steps() -> None:
    for method in DIRAC_METHODS:
        outcome = study(method, start=(1.0, 1.0), step_size=0.01, steps=1)
        if outcome.eigenvalues is not None:
            assert outcome.converges is all(value.real < -1e-9 for value in outcome.eigenvalues)


def test_the_table_has_a_row_for_each_method_and_equal_numbers_of_cells() -> None:
    outcomes = [study(method, start=(1.0, 1.0), step_size=0.2, steps=1) for method in DIRAC_METHODS]
    lines = table(outcomes).splitlines()
    assert len(lines) == len(DIRAC_METHODS) + 2
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
