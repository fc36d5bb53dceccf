"""Show a checkpoint on a page in the browser: seeds, truncation, classes, style mixing, reconstructions."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.serve_model import serve

    call(serve, arguments, command="serve")
