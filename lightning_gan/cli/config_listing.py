"""The list of configurations that come with the package, by kind, each with a line that says what it is."""

import re
import shutil
import sys

from lightning_gan.cli.configs import find_config, shipped_configs, shipped_folder
from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.yaml_text import read_text

MODELS = "models"
"""The kind of configurations that lie in no folder. The other kinds are the names of folders."""

HELP = """usage: lightning-gan configs [NAME]

List the configurations of the package by kind, or print one of them.

arguments:
  NAME   a configuration, such as addons/r1.yaml, whose text is printed; or a kind, such as addons, which is listed
         alone. Without it, all are listed. Names are those of fit --config NAME.

kinds: {kinds}"""


def configs(arguments: list[str]) -> None:
    """Print the list of configurations, those of one kind, or the text of one.

    Args:
        arguments: nothing, or the name of a kind or of a configuration.

    Raises:
        CommandLineError: if there are several arguments, or no such configuration.
    """
    kinds = configs_by_kind()
    if any(argument in ("-h", "--help") for argument in arguments):
        print(HELP.format(kinds=", ".join(kinds)))
        return
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        raise CommandLineError(f"configs {' '.join(arguments)}: give one name, such as addons/r1.yaml, or none")
    if not arguments:
        print("\n\n".join(section_of(kind, names) for kind, names in kinds.items()))
        print("\nlightning-gan configs NAME prints one of them; lightning-gan fit --config NAME takes it.")
    elif arguments[0].rstrip("/") in kinds:
        kind = arguments[0].rstrip("/")
        print(section_of(kind, kinds[kind]))
    else:
        print(read_text(find_config(arguments[0])), end="")


def configs_by_kind() -> dict[str, list[str]]:
    """The names of the configurations of the package by kind. Complete ones come first."""
    kinds: dict[str, list[str]] = {MODELS: []}
    for name in shipped_configs():
        folder, _, _ = name.rpartition("/")
        kinds.setdefault(folder or MODELS, []).append(name)
    return kinds


def section_of(kind: str, names: list[str]) -> str:
    """The lines of one kind. On a terminal they are cut at its width.

    Args:
        kind: name of the kind.
        names: names of its configurations.
    """
    width = max(map(len, names), default=0)
    lines = [f"  {name:<{width}}  {summary_of(name)}" for name in names]
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        lines = [line if len(line) < columns else f"{line[: columns - 4]}..." for line in lines]
    return "\n".join([f"{kind}:", *lines])


def summary_of(name: str) -> str:
    """What a configuration of the package is: the first sentence of the comment at its beginning.

    Args:
        name: name of the configuration.
    """
    lines = (shipped_folder() / name).read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return first_sentence(" ".join(line.removeprefix("#").strip() for line in lines[:end]))


def first_sentence(text: str) -> str:
    """The first sentence of a text, without its full stop.

    Example:
        >>> first_sentence("StyleGAN (Karras et al. 2019), narrow. It grows.")
        'StyleGAN (Karras et al. 2019), narrow'
    """
    return re.split(r"(?<!\bal)(?<!\beq)\.(?:\s|$)|:\s+(?=python )", text, maxsplit=1)[0].rstrip(":")
