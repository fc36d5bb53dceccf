"""Every number that a model is made with is checked, or refused in one line."""

import inspect
import math
from typing import Any

import pytest

from lightning_gan.loop.gan import GAN
from tests.models.test_every_model import IMAGE_SIZES, MODELS, small_settings

WRONG: dict[Any, list[float]] = {int: [-1], float: [math.nan, math.inf]}
"""Values that no argument of a type may have."""


def cases() -> list[tuple[type[GAN], str, float]]:
    return [
        (kind, name, value)
        for kind in MODELS
        for name, parameter in inspect.signature(kind).parameters.items()
        for value in WRONG.get(parameter.annotation, [])
    ]


@pytest.mark.parametrize(("kind", "name", "value"), cases())
def test_a_wrong_number_is_refused(kind: type[GAN], name: str, value: float) -> None:
    settings = small_settings(kind)
    if "image_size" in inspect.signature(kind).parameters:
        settings["image_size"] = IMAGE_SIZES[0]
    with pytest.raises(ValueError, match=name) as error:
        kind(**{**settings, name: value})
    assert "\n" not in str(error.value)
