"""Selects the constructor's arguments that are saved in checkpoints as hyperparameters."""

from dataclasses import asdict
from typing import Any

from lightning_gan.compat import made_by_the_command_line


def unsaved_arguments(*of_the_model: str) -> list[str]:
    """Names of the arguments that are not saved: modules, callables and dataclasses, which would need unpickling.

    If the command line constructs the model, every argument is plain data, and the list is empty.

    Args:
        of_the_model: names of such arguments that only this model has.
    """
    if made_by_the_command_line():
        return []
    return ["generator", "discriminator", "training", "auxiliary_classifier", *of_the_model]


def plain_data(**settings: Any) -> dict[str, Any]:
    """Hyperparameters that save dataclasses as dictionaries, and name the function that restores the dataclasses.

    Args:
        settings: dataclasses of plain data, by the names of the arguments.
    """
    return {
        **{name: asdict(of_one) for name, of_one in settings.items()},
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }
