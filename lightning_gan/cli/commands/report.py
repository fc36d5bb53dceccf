"""Write a page about a run to look at and to send: numbers, curves, samples, interpolations, settings."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.report_run import report

    call(report, arguments, command="report")
