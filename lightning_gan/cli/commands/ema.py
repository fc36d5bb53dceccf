"""Make a checkpoint with averaged weights of any length, after a training with PowerFunctionEMA."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call
    from lightning_gan.inference.post_hoc_ema import ema

    call(ema, arguments, command="ema")
