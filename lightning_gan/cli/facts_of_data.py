"""What the arguments of a model become by its data: image sizes, channels and classes need not be given twice."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule

from lightning_gan.cli.errors import CommandLineError, short

WIDTH = "image_width"
"""The width of images in pixels, of data and of models; None is a square. Not every model takes it."""

FACTS_OF_DATA = (
    "image_size",
    WIDTH,
    "image_channels",
    "number_of_classes",
    "observation_size",
    "action_size",
    "discrete_actions",
)
"""Arguments of a model that follow from attributes of its data."""

_UNKNOWN = object()


def fact_of(
    data: LightningDataModule,
    fact: str,
    *,
    model: str,
    arguments: dict[str, Any],
    is_given: bool,
    checkpoint: Path | None,
    command: str,
) -> int | bool | None:
    """The value of an argument of a model: that of the data's attribute, unless the user gave another one.

    Args:
        data: the data module; those of users need not have the attribute.
        fact: one of `FACTS_OF_DATA`.
        model: path of the model's class.
        arguments: arguments of the model, with their defaults.
        is_given: whether the user gave this argument, or a checkpoint has it.
        checkpoint: the checkpoint that has this argument, if the user did not give it.
        command: name of the command.

    Raises:
        CommandLineError: if the value is unknown, contradicts the data, or is a width that the model cannot take.
    """
    configured: int | bool | None = arguments.get(fact)
    known: Any = getattr(data, fact, _UNKNOWN)
    if fact == WIDTH:
        if known is not _UNKNOWN and known == getattr(data, "image_size", None):
            known = None  # a square
        _check_width(data, known, model=model, arguments=arguments)
    elif known is None:
        known = _UNKNOWN
    if known is _UNKNOWN:
        if configured is None and fact in arguments and fact != WIDTH:
            raise CommandLineError(f"{type(data).__name__} has no attribute {fact}; give --model.{fact}")
        return configured
    found: int | bool | None = known
    if not is_given:
        return found
    # A model may ignore labels, and a model with classes may be evaluated on images without labels.
    differs_rightly = fact == "number_of_classes" and (configured == 0 or command != "fit")
    if fact == WIDTH and configured == arguments.get("image_size"):
        configured = None  # a square
    if configured != found and not differs_rightly and checkpoint is not None:
        anew = f", or begin a new training with its weights (fit --weights {checkpoint})" * (command == "fit")
        raise CommandLineError(
            f"{checkpoint} was trained with {fact}={configured}, but {type(data).__name__} has {fact}={found}; give "
            f"the same data, such as --config runs/NAME/config.yaml of its run{anew}"
        )
    if configured != found and not differs_rightly:
        raise CommandLineError(
            f"model.{fact}={configured}, but {type(data).__name__} has {fact}={found}; leave model.{fact} out, "
            "because it follows from the data"
        )
    return configured


def _check_width(data: LightningDataModule, width: Any, *, model: str, arguments: dict[str, Any]) -> None:
    """Refuses images that are no squares for a model that takes squares alone."""
    if width in (None, _UNKNOWN) or WIDTH in arguments or "image_size" not in arguments:
        return
    height = getattr(data, "image_size", None)
    raise CommandLineError(
        f"{short(model)} makes squares, and the images of {type(data).__name__} have {width}x{height} pixels; give "
        "--config stylegan2.yaml or r3gan.yaml, which take any ratio, or cut squares: --image_size PIXELS without "
        "--image_width beside --images, or --data.image_width null --data.resize center_crop"
    )
