"""The option `--protocol`: another library measures the same images beside the configured `Evaluation`."""

from typing import TYPE_CHECKING

from lightning_gan.cli.errors import CommandLineError, did_you_mean
from lightning_gan.cli.option_values import take_values

if TYPE_CHECKING:
    from lightning.pytorch import Callback

PROTOCOLS = ("torch-fidelity",)
"""The names that the option takes."""

HELP = """protocols:
  --protocol torch-fidelity  for test and validate: the library torch-fidelity measures the same images, too, with the
                        weights of the configured InceptionFeatures or those in torch's download folder. Its numbers are
                        printed in a table of their own and written to torch_fidelity.json.
"""


def take_protocol(options: list[str], *, command: str) -> tuple[str | None, list[str]]:
    """The protocol that options give, or None, and all other options.

    Args:
        options: options of a command line.
        command: name of the command.

    Raises:
        CommandLineError: for an unknown protocol, and for another command than `test` and `validate`.

    Example:
        >>> take_protocol(["--protocol=torch-fidelity", "--model=M"], command="test")
        ('torch-fidelity', ['--model=M'])
    """
    given, rest = take_values(options, "--protocol")
    if not given:
        return None, rest
    if given[-1] not in PROTOCOLS:
        raise CommandLineError(
            f"--protocol {given[-1]} is none of {', '.join(PROTOCOLS)}{did_you_mean(given[-1], PROTOCOLS)}"
        )
    if command not in ("test", "validate"):
        raise CommandLineError(
            f"--protocol is no option of {command}; --trainer.callbacks+=TorchFidelity measures while training"
        )
    return given[-1], rest


def with_torch_fidelity(callbacks: "list[Callback]") -> "list[Callback]":
    """Callbacks with a `TorchFidelity` behind them, unless there is one, with the settings of the first `Evaluation`.

    Args:
        callbacks: callbacks of the trainer.

    Raises:
        CommandLineError: if Inception's weights are missing.
    """
    from lightning_gan.callbacks import Evaluation, TorchFidelity  # imported here, because they import torch

    if any(isinstance(callback, TorchFidelity) for callback in callbacks):
        return callbacks
    evaluation = next((callback for callback in callbacks if isinstance(callback, Evaluation)), None)
    try:
        return [*callbacks, TorchFidelity() if evaluation is None else TorchFidelity.beside(evaluation)]
    except ValueError as error:
        raise CommandLineError(
            f"--protocol torch-fidelity: {error}; on the command line these are --trainer.callbacks+=TorchFidelity "
            "--TorchFidelity.weights FILE or --TorchFidelity.download true"
        ) from error
