"""Make tables and figures of which training methods converge in small games (takes no --config)."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.dynamics.command import main as study  # imported here, because it imports torch

    study(arguments)
