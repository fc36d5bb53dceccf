"""Write a video, an animation or a strip between seeds or images."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.interpolate import interpolate

    call(interpolate, arguments, command="interpolate")
