"""Make a folder for a model hub: weights, settings, model card, samples."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call
    from lightning_gan.inference.publish_model import publish

    call(publish, arguments, command="publish")
