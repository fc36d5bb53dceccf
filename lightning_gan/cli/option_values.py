"""Reads single options out of the arguments of a command line."""

from lightning_gan.cli.configs import is_text
from lightning_gan.cli.errors import CommandLineError


def take_values(arguments: list[str], *names: str) -> tuple[list[str], list[str]]:
    """The values of an option, in order, and the arguments without this option.

    Args:
        arguments: arguments of a command line.
        names: all names of the option, such as `--config` and `-c`.

    Raises:
        CommandLineError: if the option is given without a value.

    Example:
        >>> take_values(["--name", "a", "--model=M", "--name=b"], "--name")
        (['a', 'b'], ['--model=M'])
        >>> take_values(["--image_size", "-8"], "--image_size")  # a wrong number, and not a missing one
        (['-8'], [])
    """
    values: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        option, equals, value = argument.partition("=")
        if option not in names:
            rest.append(argument)
            continue
        if not equals:
            value = next(remaining, "")
            is_option = value.startswith("-") and not is_text(value) and not value[1:2].isdecimal()
            if not value or is_option:
                raise CommandLineError(f"{option} needs a value")
        elif not value:
            raise CommandLineError(f"{option} needs a value")
        values.append(value)
    return values, rest


def asks_for_help(options: list[str]) -> bool:
    """Whether the options ask for help, by `-h`, `--help` or an option such as `--model.help`."""
    return any(option in ("-h", "--help") or option.partition("=")[0].endswith(".help") for option in options)
