"""Reads settings in YAML, strictly: what a parser of YAML would pass over, or take without end, is an error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lightning_gan.cli.errors import CommandLineError

LARGEST_FILE_BYTES = 1_000_000
"""The largest configuration that is read. The longest one of the package has about 5,000 bytes."""

MOST_VALUES = 100_000
"""The largest number of values in a configuration, in which each alias counts as all that it stands for."""


def read_text(path: Path) -> str:
    """The text of a configuration.

    Args:
        path: path of the file.

    Raises:
        CommandLineError: if the file cannot be read, is too large, or is no text in UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise CommandLineError(
                f"{path} has {size} bytes, and a configuration has at most {LARGEST_FILE_BYTES}; is it another file?"
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandLineError(
            f"{path} is no text in UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise CommandLineError(f"{path} cannot be read: {error.strerror}") from error


def settings_in(text: str, *, name: str) -> dict[str, Any]:
    """The settings in a text. An empty text has none.

    Args:
        text: settings in YAML or JSON.
        name: name of the text for error messages, such as the path of its file.

    Raises:
        CommandLineError: if the text is no valid YAML, holds no mapping, gives a key twice, or expands to more than
            `MOST_VALUES` values.

    Example:
        >>> settings_in("trainer: {max_steps: 3}", name="a.yaml")
        {'trainer': {'max_steps': 3}}
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return {}
        _refuse_many(root, name=name)
        _refuse_doubles(root, name=name)
        settings = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise CommandLineError(f"{name} is not valid YAML: {error.problem}{line}") from error
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise CommandLineError(
            f"{name} is not valid YAML: character {text[error.position]!r} in line {number}; remove it"
        ) from error
    except RecursionError as error:
        raise CommandLineError(f"{name} is nested too deeply for a configuration; is it another file?") from error
    except ValueError as error:  # such as the date 2001-99-99
        raise CommandLineError(f"{name} is not valid YAML: {error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise CommandLineError(
            f"{name} must hold settings such as `model:` and `data:`, and holds a {type(settings).__name__}"
        )
    if other := next((key for key in settings if not isinstance(key, str)), None):
        raise CommandLineError(f"{name}: {other!r} is no name of a setting; give `model:`, `data:` or `trainer:`")
    return settings


def check_value(value: str, *, name: str) -> None:
    """Check the value of an option that holds a mapping or a list, such as `--data '{class_path: Digits}'`.

    Args:
        value: the value as text; text that is no valid YAML is left to the parser.
        name: name of the option.

    Raises:
        CommandLineError: if a key is given twice, or the value expands to more than `MOST_VALUES` values.
    """
    if not value.startswith(("{", "[")):
        return
    try:
        root = yaml.compose(value, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return
    assert root is not None  # the value has a bracket
    _refuse_many(root, name=name)
    _refuse_doubles(root, name=name)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refuse_many(root: yaml.Node, *, name: str) -> None:
    """Refuse aliases that contain themselves, or that together stand for very many values."""
    sizes: dict[int, int] = {}
    unfinished: set[int] = set()
    waiting = [root]
    while waiting:  # without recursion: children are counted before what contains them
        node = waiting[-1]
        if id(node) in sizes:
            waiting.pop()
            continue
        open_children = [child for child in _children(node) if id(child) not in sizes]
        if any(id(child) in unfinished or child is node for child in open_children):
            raise CommandLineError(f"{name}: the alias in line {_line(node)} contains itself; write its values out")
        if open_children:
            unfinished.add(id(node))
            waiting += open_children
            continue
        unfinished.discard(id(node))
        sizes[id(node)] = 1 + sum(sizes[id(child)] for child in _children(node))
        if sizes[id(node)] > MOST_VALUES:
            raise CommandLineError(
                f"{name}: with its aliases, line {_line(node)} stands for more than {MOST_VALUES} values; "
                "a configuration has fewer"
            )


def _refuse_doubles(root: yaml.Node, *, name: str) -> None:
    """Refuse a key that a mapping gives twice, of which a parser would take the last one."""
    for node in _nodes(root):
        lines: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in lines:
                raise CommandLineError(
                    f"{name} gives {key.value} twice, in line {lines[key.value]} and in line {_line(key)}; "
                    "remove one of them"
                )
            lines[key.value] = _line(key)


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """All nodes, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += _children(node)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
