"""Numbers that users give are finite and not too small."""

import math

import pytest

from lightning_gan.tensors.numbers import check_at_least


def test_the_first_wrong_number_is_named() -> None:
    check_at_least(1, width=1, depth=None, rate=2.5)
    with pytest.raises(ValueError, match=r"^width=0 must be at least 1$"):
        check_at_least(1, depth=3, width=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^rate={value} must be a finite number$"):
        check_at_least(0, rate=value)
