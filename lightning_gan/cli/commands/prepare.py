"""Convert images to files of one size, in a folder or zip that fit --images reads as it is, or in shards."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call
    from lightning_gan.data.preparation import prepare

    call(prepare, arguments, command="prepare")
