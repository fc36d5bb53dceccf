"""The callbacks of a command line: those of its configurations, one after the other, and what its options add."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from lightning.pytorch import Callback

from lightning_gan.cli.errors import constructor_parameters, short

LONGEST_SETTINGS = 80
"""The largest number of characters of a callback's settings that a line repeats."""


@dataclass(frozen=True, kw_only=True)
class ConfiguredCallback:
    """A callback as a configuration or an option gives it.

    Attributes:
        given: name of the class, or a mapping with `class_path` and `init_args`. The parser refuses what is neither.
        options: settings that options change in it, such as `gamma=1`, in their order.
        is_added: whether an option gives it. The parser then gets it alone, so that its message is about it alone.
    """

    given: Any
    options: tuple[str, ...] = ()
    is_added: bool = False

    @property
    def class_path(self) -> str:
        """The name of the class, with or without its module; empty if none is given."""
        path = self.given.get("class_path") if isinstance(self.given, dict) else self.given
        return path if isinstance(path, str) else ""

    @property
    def name(self) -> str:
        """The name of the class without its module."""
        return short(self.class_path)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are given, those of the options included. Nested ones are left out if an option gives them.

        Example:
            >>> ConfiguredCallback(given={"class_path": "R1", "init_args": {"gamma": 5}}, options=("gamma=1",)).settings
            {'gamma': 1}
        """
        given = self.given.get("init_args") if isinstance(self.given, dict) else None
        settings = {str(name): value for name, value in given.items()} if isinstance(given, dict) else {}
        for option in self.options:
            name, _, value = option.partition("=")
            name = name.removeprefix("init_args.")
            if "." not in name and not name.endswith("+"):
                settings[name] = value_of(value)
        return settings

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        shown = shown if len(shown) <= LONGEST_SETTINGS else f"{shown[:LONGEST_SETTINGS]}..."
        return f"{self.name}({shown})" if shown else self.name


@dataclass(kw_only=True)
class CallbackList:
    """The callbacks of several configurations, in which later ones replace or add to those before them.

    Attributes:
        callbacks: the callbacks as they are after what has been read so far.
        remarks: lines for the user on callbacks that others took the place of.
        dropped: names of callbacks that a later list leaves out, until `leave_out` has told them.
        is_given: whether a configuration or an option gives a list, be it an empty one.
    """

    callbacks: list[ConfiguredCallback] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    is_given: bool = False

    def read(self, settings: dict[str, Any], *, place: str) -> None:
        """Read `callbacks` and `callbacks+` of the trainer in a configuration.

        Args:
            settings: settings of the configuration.
            place: name of the configuration for remarks.
        """
        trainer = settings.get("trainer")
        if not isinstance(trainer, dict):
            return
        if "callbacks" in trainer:
            self.set_to(callbacks_of(trainer["callbacks"]))
        if "callbacks+" in trainer:
            self.add(callbacks_of(trainer["callbacks+"]), place=place)

    def set_to(self, callbacks: Iterable[ConfiguredCallback]) -> None:
        """Replace all callbacks."""
        self.is_given = True
        self.dropped += self.names
        self.callbacks = list(callbacks)

    def add(self, callbacks: Sequence[ConfiguredCallback], *, place: str) -> None:
        """Add callbacks. Those that do the work of one before them (`work_of`) take its place.

        Args:
            callbacks: the callbacks of one list, in which a class that is given twice means two callbacks.
            place: name of what gives them, for remarks.
        """
        self.is_given = self.is_given or bool(callbacks)
        work_of_added = [work_of(callback) for callback in callbacks]
        merged: list[ConfiguredCallback] = []
        placed: set[int] = set()
        for before in self.callbacks:
            work = work_of(before)
            takers = [number for number, other in enumerate(work_of_added) if work is not None and work == other]
            if not takers:
                merged.append(before)
            elif all(before.settings != callbacks[number].settings for number in takers):
                shown = ", ".join(str(callbacks[number]) for number in takers)
                self.remarks.append(
                    f"trainer.callbacks: {shown} of {place} takes the place of {before} (a list that gives both keeps "
                    "both)"
                )
            merged += [callbacks[number] for number in takers if number not in placed]
            placed.update(takers)
        self.callbacks = merged + [callback for number, callback in enumerate(callbacks) if number not in placed]

    def change(self, index: int, option: str) -> None:
        """Change a setting of one callback.

        Args:
            index: place of the callback in the list, from 0.
            option: name and value, such as `gamma=1`.
        """
        self.callbacks[index] = changed(self.callbacks[index], option)

    def arguments(self) -> list[str]:
        """Options for the parser that give exactly these callbacks, whatever configurations before them give.

        The parser sets `--trainer.callbacks.gamma` in the last callback of its list. Callbacks are therefore appended
        in pieces, each of which ends with a callback that options change.
        """
        if not self.is_given:
            return []
        # A list that replaces one of the same length would keep settings of its callbacks; after null it does not.
        arguments = ["--config", '{"trainer": {"callbacks": null}}']
        piece: list[Any] = []
        # The list may be empty; the second one is then longer.
        for callback, following in zip(self.callbacks, [*self.callbacks[1:], None], strict=False):
            piece.append(callback.given)
            if callback.options or callback.is_added or following is None or following.is_added:
                value = piece[0] if callback.is_added else piece
                text = value if isinstance(value, str) else _one_line(value)
                arguments.append(f"--trainer.callbacks+={text}")
                arguments += [f"--trainer.callbacks.{option}" for option in callback.options]
                piece = []
        return arguments

    @property
    def names(self) -> list[str]:
        """The names of the classes of all callbacks."""
        return [callback.name for callback in self.callbacks]

    def leave_out(self, running: list[str]) -> list[str]:
        """The names of callbacks that a configuration gives and that will not run, because of a later list; each once.

        Args:
            running: names of the callbacks that will run.
        """
        given = dict.fromkeys([*self.dropped, *self.names])
        self.dropped.clear()
        return [name for name in given if name and name not in running]


def changed(callback: ConfiguredCallback, option: str) -> ConfiguredCallback:
    """A callback with one more option.

    The parser applies it. It loses the settings within lists, so that lists are changed here: `+=` adds to a list, and
    what is set within a list is set in its last entry.

    Args:
        callback: the callback.
        option: name and value, such as `gamma=1`.

    Example:
        >>> given = {"class_path": "LearningRate", "init_args": {"schedules": ["LinearDecay"]}}
        >>> changed(ConfiguredCallback(given=given), "schedules.end_kimg=7").settings
        {'schedules': [{'class_path': 'LinearDecay', 'init_args': {'end_kimg': 7}}]}
    """
    name, _, text = option.partition("=")
    first, *rest = name.rstrip("+").removeprefix("init_args.").split(".")
    settings, value = callback.settings, value_of(text)
    before = settings.get(first)
    adds = name.endswith("+") and not rest
    if adds and first not in settings:
        parameter = constructor_parameters(full_class_path(callback.class_path)).get(first)
        default = None if parameter is None else parameter.default
        before = list(default) if isinstance(default, list | tuple) else []
    if not isinstance(before, list) and not (isinstance(value, list) and not rest):
        return replace(callback, options=(*callback.options, option))
    if adds:
        after: Any = [*before, *(value if isinstance(value, list) else [value])] if isinstance(before, list) else value
    else:
        after = _set_within(before, rest, value, adds=name.endswith("+"))
    given = callback.given if isinstance(callback.given, dict) else {"class_path": callback.given}
    given = {**given, "init_args": {**(given.get("init_args") or {}), first: after}}
    others = tuple(
        other for other in callback.options if re.split(r"[.+=]", other.removeprefix("init_args."))[0] != first
    )
    return replace(callback, given=given, options=others)


def _set_within(settings: Any, names: list[str], value: Any, *, adds: bool) -> Any:
    """Nested settings with one of them set, in the last entry of lists."""
    if not names:
        return (
            [*settings, *(value if isinstance(value, list) else [value])]
            if adds and isinstance(settings, list)
            else value
        )
    if isinstance(settings, list):
        last = settings[-1] if settings else {}
        return [*settings[:-1], _set_within(last, names, value, adds=adds)]
    if isinstance(settings, str):
        settings = {"class_path": settings}
    inner = dict(settings) if isinstance(settings, dict) else {}
    if "class_path" in inner and names[0] not in ("class_path", "init_args"):
        return {**inner, "init_args": _set_within(inner.get("init_args") or {}, names, value, adds=adds)}
    return {**inner, names[0]: _set_within(inner.get(names[0]), names[1:], value, adds=adds)}


def _one_line(value: Any) -> str:
    """A value as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**31).removesuffix("...\n").strip()


def callbacks_of(value: Any, *, is_added: bool = False) -> list[ConfiguredCallback]:
    """The callbacks in the value of `callbacks`: a list, one callback, or null.

    Args:
        value: the value.
        is_added: whether an option gives it.

    Example:
        >>> [callback.name for callback in callbacks_of(["EMA", {"class_path": "lightning_gan.callbacks.R1"}])]
        ['EMA', 'R1']
    """
    values = [] if value is None else value if isinstance(value, list) else [value]
    return [ConfiguredCallback(given=one, is_added=is_added) for one in values]


def value_of(text: str) -> Any:
    """The value of an option: what YAML makes of its text, or the text if it is no YAML."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def work_of(callback: ConfiguredCallback) -> tuple[str, dict[str, Any]] | None:
    """What a callback does: its class, and the networks, files or metrics that it names; None without a class.

    What a callback works on is what it gets as a text: the name of a network or layer, of its files, or of what it
    monitors. Numbers and switches only say how.

    Example:
        >>> norms = [
        ...     {"class_path": "lightning_gan.callbacks.SpectralNorm", "init_args": {"network": network}}
        ...     for network in ("generator", "discriminator")
        ... ]
        >>> first, second = (work_of(callback) for callback in callbacks_of(norms))
        >>> first == second
        False
    """
    if not callback.name:
        return None
    class_path = full_class_path(callback.class_path)
    settings = callback.settings
    return class_path, {name: settings.get(name, default) for name, default in _names_in(class_path).items()}


def _names_in(class_path: str) -> dict[str, Any]:
    """The arguments of a class that are one text, or one or several texts, with their defaults."""
    parameters = constructor_parameters(class_path).items()
    return {name: parameter.default for name, parameter in parameters if _is_text(parameter.annotation)}


def _is_text(annotation: Any) -> bool:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return str in kinds and all(kind in (str, NoneType, list[str]) for kind in kinds)


def known_callbacks() -> dict[str, str]:
    """The names of all imported classes of callbacks, with the paths by which they can be imported."""
    found: dict[str, str] = {}
    waiting: list[type[Callback]] = [Callback]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not kind.__name__.startswith("_"):
            found.setdefault(kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
    return found


def full_class_path(class_path: str) -> str:
    """The path of the module in which a class is defined, with its name; the given path if there is no such class."""
    module, _, name = class_path.rpartition(".")
    if not module:
        return known_callbacks().get(name, class_path)
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return class_path
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else class_path
