"""Make a checkpoint with averaged weights of any length, or of the best of several, after PowerFunctionEMA."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.ema_sweep import ema
    from lightning_gan.cli.functions import call

    call(ema, arguments, command="ema")
