"""The commands beside `fit`, `validate` and `test`.

Every module here is a command. Its name, without an underscore at the end, is the command's; the first line of its
docstring is the command's line in the help; and its function `main` takes the arguments after the command.
"""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).parent


def command_names() -> list[str]:
    """The names of the commands, in alphabetical order."""
    return sorted(path.stem.rstrip("_") for path in _FOLDER.glob("*.py") if path.stem != "__init__")


def help_of(command: str) -> str:
    """The line of a command in the help. The command is not imported, because many import torch.

    Args:
        command: name of the command.
    """
    text = ast.get_docstring(ast.parse(_path_of(command).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def function_of(command: str) -> Callable[[list[str]], None]:
    """The function of a command, which takes the arguments after it.

    Args:
        command: name of the command.
    """
    function: Callable[[list[str]], None] = import_module(f"{__name__}.{_path_of(command).stem}").main
    return function


def _path_of(command: str) -> Path:
    """The file of a command. Words that Python reserves, such as `import`, end with an underscore there."""
    plain = _FOLDER / f"{command}.py"
    return plain if plain.is_file() else _FOLDER / f"{command}_.py"
