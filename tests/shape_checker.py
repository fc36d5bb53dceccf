"""What checks annotations, shapes among them, while tests run: beartype, where it can."""

from collections.abc import Callable
from typing import Any, Self

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked at every call.

    Methods that return `Self` are left as they are: beartype understands it in decorated classes alone, and jaxtyping
    decorates functions.
    """
    annotations = getattr(function, "__annotations__", {})
    return function if Self in annotations.values() else beartype(function)
