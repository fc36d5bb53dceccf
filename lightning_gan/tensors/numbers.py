"""Checks of numbers that users give."""

import math


def check_at_least(least: int | float, **settings: int | float | None) -> None:
    """Check that numbers are finite and not too small.

    Args:
        least: the smallest allowed number.
        settings: numbers by the names of the arguments that they were given for; None is not checked.

    Raises:
        ValueError: for the first number that is not finite, or smaller than `least`.

    Example:
        >>> check_at_least(1, width=0)
        Traceback (most recent call last):
        ValueError: width=0 must be at least 1
    """
    for name, value in settings.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}={value} must be a finite number")
        if value is not None and value < least:
            raise ValueError(f"{name}={value} must be at least {least}")
