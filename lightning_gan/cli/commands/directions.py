"""Find and draw directions in the latent space, in closed form."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.directions import directions

    call(directions, arguments, command="directions")
