"""Make images of a checkpoint: numbered files, or one sheet."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.generate import generate

    call(generate, arguments, command="generate")
