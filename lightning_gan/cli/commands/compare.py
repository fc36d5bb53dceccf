"""Compare runs: settings that differ, metrics side by side, curves and samples."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.compare_runs import compare

    call(compare, arguments, command="compare")
