"""Options that change callbacks: `--R1.gamma 1`, and `--trainer.callbacks+=R1`."""

import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from lightning_gan.cli.configured_callbacks import (
    CallbackList,
    ConfiguredCallback,
    callbacks_of,
    changed,
    full_class_path,
    known_callbacks,
    value_of,
)
from lightning_gan.cli.errors import CommandLineError, constructor_parameters, did_you_mean

LIST = "--trainer.callbacks"
PLACE = "the command line"


@dataclass(kw_only=True)
class CallbackOptions:
    """The options of a command line that change callbacks.

    Attributes:
        replaces: whether a list takes the place of all callbacks of configurations (`--trainer.callbacks=X`).
        added: callbacks that options add.
        changes: names and values of settings of configured callbacks, such as (`R1.gamma`, `gamma=1`).
        undecided: settings that do not say of which callback they are.
        rest: all other options, unchanged.
    """

    replaces: bool = False
    added: list[ConfiguredCallback] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def apply_options(callbacks: CallbackList, options: list[str], *, roots: Collection[str]) -> list[str]:
    """Apply the options that change callbacks.

    Args:
        callbacks: the callbacks of the configurations, which are changed.
        options: options of the command line.
        roots: first parts of the names of all options of the parser, such as `model`. They are no classes.

    Returns:
        All other options.

    Raises:
        CommandLineError: if an option has no value, or names a callback that is not there or that is there several
            times.
    """
    found = _read(options, configured={callback.name for callback in callbacks.callbacks}, roots=roots)
    if found.replaces:
        callbacks.set_to(found.added)
    else:
        callbacks.add(found.added, place=PLACE)
    for setting in found.undecided:
        raise CommandLineError(_which(setting, callbacks))
    for name, option in found.changes:
        callbacks.change(_place_of(name, callbacks, setting=option, roots=roots), option)
    return found.rest


def help_of_callbacks(callbacks: CallbackList) -> str:
    """A section for the help of a command: how settings of callbacks are given, and which ones the configured take.

    Args:
        callbacks: the configured callbacks; without any, the section only explains the options.
    """
    lines = [
        "settings of callbacks:",
        *_wrapped(
            "--CLASS.SETTING VALUE changes the configured callback of that class, such as --R1.gamma 1 (in full: "
            "--trainer.callbacks.R1.gamma 1), and the second of several by --R1.2.gamma. --R1.help explains its "
            "settings. --trainer.callbacks+=CLASS adds a callback, in the place of a configured one of that class "
            "for the same network.",
            indent=2,
        ),
    ]
    if callbacks.callbacks:
        lines += ["", "configured callbacks and their settings:"]
    for name, callback in zip(_addresses(callbacks), callbacks.callbacks, strict=True):
        given = callback.settings
        names = [*given, *(other for other in _settings_of(callback) if other not in given)]
        shown = [f"{one}={_short(given[one])}" if one in given else one for one in names]
        lines += _wrapped(f"--{name}. " + (", ".join(shown) or "(none)"), indent=2)
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------- reading


def _read(options: list[str], *, configured: set[str], roots: Collection[str]) -> CallbackOptions:
    """Sort the options of a command line into those of callbacks and the rest."""
    found = CallbackOptions()
    is_open = False
    remaining = iter(options)
    for token in remaining:
        name, equals, value = token.partition("=")
        own = _own_name(name, configured=configured, roots=roots)
        if own is None:
            found.rest.append(token)
            continue
        if own.endswith(".help"):
            found.rest.append(f"{LIST}.help={own.split('.')[0]}")
            continue
        if not equals:
            value = next(remaining, "--")
        if not value or value.startswith("--"):
            raise CommandLineError(f"{name} needs a value")
        if own in ("", "+"):
            given = callbacks_of(value_of(value), is_added=True)
            found.replaces = found.replaces or own == ""
            found.added = given if own == "" else [*found.added, *given]
            configured |= {callback.name for callback in given}
            is_open = bool(given)
        elif _names_a_class(own, configured=configured):
            found.changes.append((own, f"{_setting_in(own)}={value}"))
        elif is_open:
            found.added[-1] = changed(found.added[-1], f"{own}={value}")
        else:
            found.undecided.append(own)
    return found


def _own_name(name: str, *, configured: set[str], roots: Collection[str]) -> str | None:
    """The part of an option's name behind `--trainer.callbacks`, or of a short form; None for another option."""
    if name in (LIST, f"{LIST}+"):
        return name.removeprefix(LIST)
    if name.startswith(f"{LIST}."):
        own = name.removeprefix(f"{LIST}.")
        return None if own == "help" else own
    if not re.match(r"--\w+\..", name) or name[2:].split(".")[0] in roots:
        return None
    return name[2:] if _names_a_class(name[2:], configured=configured) else None


def _names_a_class(own: str, *, configured: set[str]) -> bool:
    """Whether the first part of a name is that of a class: one that is configured, or looks like one."""
    first, _, rest = own.partition(".")
    lower = {name.lower() for name in configured}
    return bool(rest) and (first in configured or first[:1].isupper() or first.lower() in lower)


def _setting_in(own: str) -> str:
    """The setting in a name that begins with a class: `gamma` of `R1.gamma` and of `R1.2.gamma`."""
    return re.sub(r"^\w+\.(\d+\.)?", "", own)


# ---------------------------------------------------------------------- finding callbacks


def _place_of(own: str, callbacks: CallbackList, *, setting: str, roots: Collection[str]) -> int:
    """The place of the callback that a setting is of, from 0."""
    name = own.split(".")[0]
    number = re.match(r"\w+\.(\d+)\.", own)
    places = [place for place, callback in enumerate(callbacks.callbacks) if callback.name == name]
    if not places:
        raise CommandLineError(_not_there(name, callbacks, setting=setting, roots=roots))
    if number is None and len(places) > 1:
        addresses = [
            f"--{name}.{count}.{setting} for {callbacks.callbacks[place]}" for count, place in enumerate(places, 1)
        ]
        raise CommandLineError(f"{name} is in this configuration {len(places)} times; give {' or '.join(addresses)}")
    chosen = 1 if number is None else int(number[1])
    if not 1 <= chosen <= len(places):
        if len(places) == 1:
            raise CommandLineError(f"--{own}: {name} is in this configuration once; give --{name}.{setting}")
        raise CommandLineError(
            f"--{own}: {name} is in this configuration {len(places)} times; give a number from 1 to {len(places)}"
        )
    return places[chosen - 1]


def _not_there(name: str, callbacks: CallbackList, *, setting: str, roots: Collection[str]) -> str:
    configured = list(dict.fromkeys(callback.name for callback in callbacks.callbacks if callback.name))
    known = known_callbacks()
    if name in known:
        return f"{name} is not in this configuration; {LIST}+={name} adds it, and --{name}.{setting} then sets this"
    has = f"which has {', '.join(configured)}" if configured else "which has no callbacks"
    hint = did_you_mean(name, [*roots, *known, *configured])  # of equal names in lower case the last one is suggested
    return f"--{name}.{setting.partition('=')[0]}: there is no callback {name} in this configuration, {has}{hint}"


def _which(setting: str, callbacks: CallbackList) -> str:
    """A message for a setting that is given without the callback it is of."""
    first = setting.rstrip("+").split(".")[0]
    pairs = zip(_addresses(callbacks), callbacks.callbacks, strict=True)
    takers = [f"--{address}.{setting}" for address, callback in pairs if first in _settings_of(callback)]
    if not takers:
        return f"{LIST}.{setting}: no callback of this configuration has the setting {first}; {LIST}+=CLASS adds one"
    return f"{LIST}.{setting} does not say which callback is meant; give {' or '.join(takers)}"


def _addresses(callbacks: CallbackList) -> Iterator[str]:
    """The names by which options find the callbacks: the class, and its number if there are several of it."""
    names = [callback.name for callback in callbacks.callbacks]
    for place, name in enumerate(names):
        yield name if names.count(name) == 1 else f"{name}.{names[: place + 1].count(name)}"


def _settings_of(callback: ConfiguredCallback) -> list[str]:
    parameters = constructor_parameters(full_class_path(callback.class_path))
    return [name for name in parameters if name not in ("self", "args", "kwargs")]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else "..."


def _wrapped(text: str, *, indent: int) -> list[str]:
    return textwrap.wrap(
        text, 79, initial_indent=" " * indent, subsequent_indent=" " * (indent + 4), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
