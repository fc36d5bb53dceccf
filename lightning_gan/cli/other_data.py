"""What measures digits in a configuration is not kept when other data take the digits' place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lightning_gan.cli.configured_callbacks import ConfiguredCallback
from lightning_gan.cli.errors import short
from lightning_gan.cli.image_rule import compares_digits
from lightning_gan.cli.option_values import take_values

DIGITS = "Digits"
INSTEAD = "lightning_gan.metrics.RandomFeatures"


def class_of_data(settings: dict[str, Any]) -> str | None:
    """The name of the data module's class in a configuration; None if it names none.

    Example:
        >>> class_of_data({"data": {"class_path": "lightning_gan.data.CIFAR10"}}), class_of_data({"data": "Digits"})
        ('CIFAR10', 'Digits')
        >>> class_of_data({"data": {"init_args": {"image_size": 32}}}) is None
        True
    """
    data = settings.get("data")
    path = data.get("class_path") if isinstance(data, dict) else data
    return short(path) if isinstance(path, str) else None


def data_in_place_of_digits(configurations: Sequence[dict[str, Any]], options: list[str]) -> str | None:
    """The name of the data module that takes the place of an earlier configuration's `Digits`; None if none does.

    Args:
        configurations: settings of all configurations, in order.
        options: options of the command line.
    """
    named = [name for settings in configurations if (name := class_of_data(settings)) is not None]
    named += [short(value) for value in take_values(options, "--data", "--data.class_path")[0]]
    return named[-1] if DIGITS in named and named[-1] != DIGITS else None


def for_other_data(callbacks: Sequence[ConfiguredCallback], *, data: str) -> tuple[list[ConfiguredCallback], list[str]]:
    """Callbacks of configurations for the digits, changed for other data.

    An `Evaluation` gets `RandomFeatures`, and all else that measures by a network for digits is left out.

    Args:
        callbacks: the callbacks of all configurations.
        data: name of the data module's class.

    Returns:
        The callbacks, and lines for the user.
    """
    kept: list[ConfiguredCallback] = []
    remarks: list[str] = []
    for callback in callbacks:
        if not compares_digits(callback.given):
            kept.append(callback)
        elif callback.name == "Evaluation":
            given = {**callback.given, "init_args": {**callback.given["init_args"], "extractor": INSTEAD}}
            kept.append(replace(callback, given=given))
            remarks.append(
                f"trainer.callbacks: Evaluation compares {data} by RandomFeatures in place of a network for digits, "
                "for comparing runs on the same data, not for quoting; --Evaluation.extractor InceptionFeatures "
                "measures the FID"
            )
        else:
            remarks.append(f"trainer.callbacks: {callback.name} measures by a network for digits and is left out")
    return kept, remarks
