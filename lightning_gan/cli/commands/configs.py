"""List the configurations by kind, with a line on each; with a name print that file."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.config_listing import configs

    configs(arguments)
