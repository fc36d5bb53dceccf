"""Calls a function with the arguments of a command line, which its signature and its docstring describe."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from docstring_parser import parse
from jsonargparse import ArgumentError, ArgumentParser

from lightning_gan.cli.errors import CommandLineError, explain

_TRUTHS = ("true", "false", "yes", "no")


def call(function: Callable[..., Any], arguments: list[str], *, command: str) -> None:
    """Call a function with the arguments of a command line.

    Parameters that are not keyword-only are positional; the others are options, which must be given if they have no
    default. A positional parameter that has a default may be left out, and one of type `list[str]` takes one value or
    more. An option of type `bool` is set to true by its name alone. The help shows the function's docstring.

    Args:
        function: the function.
        arguments: arguments after the name of the command.
        command: name of the command, for the help.

    Raises:
        CommandLineError: for an argument that the function does not take.
    """
    document = inspect.getdoc(function) or ""
    text = document.partition("\n\nArgs:")[0]
    parser = ArgumentParser(prog=f"lightning-gan {command}", description=text, exit_on_error=False)
    parser.allow_abbrev = False
    parameters = inspect.signature(function, eval_str=True).parameters
    lists = {name for name, parameter in parameters.items() if _takes_a_list(parameter)}
    words = {name for name, parameter in parameters.items() if _may_be_left_out(parameter)} - lists
    needed = {name for name, parameter in parameters.items() if _must_be_given(parameter)}
    names = parser.add_function_arguments(
        function, as_group=False, as_positional=True, fail_untyped=True, skip={*lists, *words, *needed}
    )
    helps = {parameter.arg_name: parameter.description for parameter in parse(document).params}
    for name in parameters:
        if name in lists:
            parser.add_argument(name, nargs="+", type=str, help=helps.get(name))
        elif name in words:
            parser.add_argument(name, nargs="?", type=str, default=None, help=helps.get(name))
        elif name in needed:
            parser.add_argument(f"--{name}", type=str, required=True, help=helps.get(name))
    positional = [name for name, parameter in parameters.items() if _is_positional(parameter)]
    given, options = _divided(arguments, parameters)
    if len(given) > len(positional) and not lists:
        raise CommandLineError(
            f"{given[len(positional)]} is one argument too many: {command} takes {', '.join(positional)}; other "
            "settings are options, --NAME VALUE"
        )
    try:
        parsed = parser.parse_args([*given, *options])
        values = parser.instantiate_classes(parsed)
    except ArgumentError as error:
        known = [*names, *sorted(lists | words | needed)]
        raise CommandLineError(explain(str(error), command=command, options=known)) from error
    left_out = {name for name in words if values[name] is None}
    function(**{name: values[name] for name in parameters if name not in left_out})


def _takes_a_list(parameter: inspect.Parameter) -> bool:
    """Whether a positional parameter takes several values. jsonargparse would read them as YAML."""
    kind = parameter.annotation
    return _is_positional(parameter) and get_origin(kind) is list and get_args(kind) == (str,)


def _may_be_left_out(parameter: inspect.Parameter) -> bool:
    """Whether a positional parameter has a default. jsonargparse would make an option of it."""
    return _is_positional(parameter) and parameter.default is not parameter.empty


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind is not inspect.Parameter.KEYWORD_ONLY


def _must_be_given(parameter: inspect.Parameter) -> bool:
    """Whether an option has no default. jsonargparse would make a positional argument of it."""
    return not _is_positional(parameter) and parameter.default is parameter.empty


def _divided(arguments: list[str], parameters: Mapping[str, inspect.Parameter]) -> tuple[list[str], list[str]]:
    """The positional arguments, and the options in the form `--name=value`.

    argparse takes all positional arguments where the first one stands, and would refuse `FILE --option value FOLDER`.
    It also takes a value such as -1,0,1 for an option.
    """
    switches = {f"--{name}" for name, parameter in parameters.items() if parameter.annotation is bool}
    words, options = [], []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        following = rest[0] if rest else "--"
        if not argument.startswith("-"):
            words.append(argument)
        elif argument in switches and following.lower() not in _TRUTHS:
            options.append(f"{argument}=true")
        elif argument in ("-h", "--help") or "=" in argument or following.startswith("--"):
            options.append(argument)
        else:
            options.append(f"{argument}={rest.pop(0)}")
    return words, options
