"""Make a checkpoint of other people's weights: PGGAN, StyleGAN (1 and 2), BigGAN, SNGAN, R1, IntroVAE and VGAN."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call
    from lightning_gan.inference.import_weights import import_weights

    call(import_weights, arguments, command="import")
