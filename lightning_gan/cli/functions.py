"""Calls a function with the arguments of a command line, which its signature and its docstring describe."""

import inspect
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from lightning_gan.cli.errors import CommandLineError, explain


def call(function: Callable[..., Any], arguments: list[str], *, command: str) -> None:
    """Call a function with the arguments of a command line.

    Parameters without a default are positional, and the others are options. The help shows the function's docstring.

    Args:
        function: the function.
        arguments: arguments after the name of the command.
        command: name of the command, for the help.

    Raises:
        CommandLineError: for an argument that the function does not take.
    """
    text = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    parser = ArgumentParser(prog=f"lightning-gan {command}", description=text, exit_on_error=False)
    parser.allow_abbrev = False
    names = parser.add_function_arguments(function, as_group=False, as_positional=True, fail_untyped=True)
    try:
        parsed = parser.parse_args(arguments)
        values = parser.instantiate_classes(parsed)
    except ArgumentError as error:
        raise CommandLineError(explain(str(error), command=command, options=names)) from error
    function(**{name: values[name] for name in names})
