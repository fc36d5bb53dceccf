"""What a checkpoint keeps of the arguments that a model was made with."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lightning_gan.compat import made_by_the_command_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def unsaved_arguments(*of_the_model: str) -> list[str]:
    """Arguments that checkpoints leave out: modules, callables and dataclasses would have to be unpickled.

    Under the command line every argument is plain data and is saved.

    Args:
        of_the_model: those that are not every model's.
    """
    if made_by_the_command_line():
        return []
    return ["generator", "discriminator", "training", "auxiliary_classifier", *of_the_model]


def plain_data(**settings: "DataclassInstance") -> dict[str, Any]:
    """Hyperparameters of dataclasses of plain data: as plain data, and who makes dataclasses of them again."""
    return {
        **{name: asdict(of_one) for name, of_one in settings.items()},
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }
