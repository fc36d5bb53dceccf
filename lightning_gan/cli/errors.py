"""Error messages for wrong settings: one short line with a suggestion, in place of the parser's long messages."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import get_args


class CommandLineError(Exception):
    """An error that the user can correct. Only its message is printed, without a traceback."""


LONGEST_VALUE = 60
"""The largest number of characters of a wrong value that a message repeats."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to append to a message, or an empty string if no known word is similar.

    Args:
        word: the word that the user gave.
        known: the words that are allowed.

    Example:
        >>> did_you_mean("max_epoch", ["max_epochs", "devices"])
        '; did you mean max_epochs?'
        >>> did_you_mean("colour", ["devices"])
        ''
    """
    by_lower_case = {name.lower(): name for name in known if name != word}
    cutoff = 0.6 if len(word) > 3 else 0.5  # R1 and R2 have similarity 0.5
    close = get_close_matches(word.lower(), by_lower_case, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower_case[close[0]]}?" if close else ""


def explain(message: str, *, command: str, options: list[str]) -> str:
    """Turn a message of the parser into one line.

    The parser tries every alternative of a type and lists all failures. The first failure is that of the class that the
    user named; only this one is reported.

    Args:
        message: the parser's message, which usually has many lines.
        command: name of the command, such as `fit`.
        options: dotted names of all options of the command, such as `trainer.max_epochs`.
    """
    if "Parser key" not in message:
        if found := re.search(r"(?:does not accept option|unrecognized arguments:|Option) '?-{0,2}([\w.+]+)", message):
            return _unknown_option(found[1], command=command, options=options)
        if found := re.search(r"the following arguments are required: (.*)", message):
            return _missing(found[1], command=command)
        if found := re.search(r"argument (--[\w.+]+): expected one argument", message):
            return f"{found[1]} needs a value"
        return _first_reason(message)
    reasons = [found for pattern in _REASONS if (found := re.search(pattern, message))]
    if not reasons:
        return _first_reason(message)
    first = min(reasons, key=lambda found: found.start())
    before = message[: first.end()]
    place = ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', before)))
    classes = re.findall(r"Problem with given class_path '([\w.]+)'", before)
    return f"{place}: {_REASONS[first.re.pattern](first, place, classes)}"


def _unknown_argument(found: re.Match[str], place: str, classes: list[str]) -> str:
    # Optimizers are given as callables. For these the parser prints the class after the reason, as part of the value.
    callable_class = re.match(r".*?class_path='([\w.]+)'", found.string[found.end() :])
    is_callable = found.string[: found.start()].endswith("callable class: ")
    owner = callable_class[1] if is_callable and callable_class else next(iter(classes[-1:]), place)
    return f"{short(owner)} has no option {found[1]}{_did_you_mean_argument(found[1], owner, place=place)}"


def _unknown_member(found: re.Match[str], place: str, classes: list[str]) -> str:
    group, option = found[1], found[2]
    members = [name.removeprefix(f"{group}.") for name in _parameters(classes[-1]) if name.startswith(f"{group}.")]
    return f"{group} of {short(classes[-1])} has no option {option}{did_you_mean(option, members)}"


def _did_you_mean_argument(option: str, owner: str, *, place: str) -> str:
    """Suggest an argument of a class. An argument inside a group of settings is found without the group's name."""
    known, parts = _parameters(owner), option.split(".")
    for index, part in enumerate(parts):
        for name in known:
            if name != option and name.endswith(f".{part}"):
                return f"; did you mean {'.'.join([place, name, *parts[index + 1 :]])}?"
    if option in known:  # an argument of a base class, whose value this class gives itself
        return f"; its {option} is fixed, so leave it out, or give another class"
    return did_you_mean(option, known)


def _unknown_class(found: re.Match[str], place: str, classes: list[str]) -> str:
    if found[1] in _class_names():
        wanted = re.search(r"Subtypes: \[<class '([\w.]+)'>", found.string)
        return f"{found[1]} is no {short(wanted[1])}" if wanted else f"{found[1]} does not belong here"
    return f"there is no class {found[1]}{did_you_mean(found[1], _class_names())}"


def _not_in_module(found: re.Match[str], place: str, classes: list[str]) -> str:
    return f"{found[1]} has no {found[2]}{did_you_mean(found[2], _public_names(found[1]))}"


def _unknown_module(found: re.Match[str], place: str, classes: list[str]) -> str:
    return f"there is no module {found[1]}"


def _missing_argument(found: re.Match[str], place: str, classes: list[str]) -> str:
    owner = short(classes[-1]) if classes else place
    return f"{owner} needs {found[1]}; give --{place}.{found[1].split(',')[0]}"


def _wrong_type(found: re.Match[str], place: str, classes: list[str]) -> str:
    # For optimizers the parser adds the whole class to the value.
    return _is_no(found[2].partition(". Got value: ")[0].strip(), short(found[1]))


def _no_type_of_several(found: re.Match[str], place: str, classes: list[str]) -> str:
    kinds, _, given = found.string[found.start() :].partition("Given value: ")
    kinds = kinds.partition("Given value")[0]
    if unknown := re.search(r"Expected a dot import path string: (\w+)", kinds):
        return _unknown_class(unknown, place, classes)
    names = [short(name) for name in re.findall(r"Expected an? <class '([\w.]+)'>", kinds)]
    return _is_no(_given_value(given), " or ".join(name for name in dict.fromkeys(names) if name != "NoneType"))


def _no_choice(found: re.Match[str], place: str, classes: list[str]) -> str:
    choices, _, given = found.string[found.start() :].partition("Given value: ")
    words = [word.strip().strip("'") for one in re.findall(r"Literal\[(.*?)\]", choices) for word in one.split(",")]
    return f"{_given_value(given)} is none of {', '.join(dict.fromkeys(words))}"


def _wrong_length(found: re.Match[str], place: str, classes: list[str]) -> str:
    given = _given_value(found.string.rpartition("Given value: ")[2])
    return f"{given} must be a list of {found[1]} values"


def _no_member(found: re.Match[str], place: str, classes: list[str]) -> str:
    members, given = found[1].split(","), found[2].partition(". Got value: ")[0]
    return f"{given} is none of {', '.join(members)}{did_you_mean(given, members)}"


def _no_subclass(found: re.Match[str], place: str, classes: list[str]) -> str:
    return f"{_given_value(found.string.partition('Given value: ')[2])} is no {found[1]}"


def _no_settings(found: re.Match[str], place: str, classes: list[str]) -> str:
    return f"{found[1]} is no group of settings; give each by its name"


def _given_value(text: str) -> str:
    """The value in the parser's words, in which an option of a class is a `NestedArg`."""
    line = text.partition("\n")[0].strip()
    nested = re.fullmatch(r"NestedArg\(key='[\w.]+', val='?(.*?)'?\)", line)
    return nested[1] if nested else line


def _is_no(value: str, kind: str) -> str:
    shown = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."
    if "float" in kind and value.lower().lstrip("+-.") in ("nan", "inf", "infinity"):
        return f"{shown} is not a finite number; give a finite one"
    if kind in ("list", "tuple"):
        return f"{shown} is no list; a list has brackets, such as '[a, b]'"
    return f"{shown} is no {kind}"


_REASONS: dict[str, Callable[[re.Match[str], str, list[str]], str]] = {
    r"Option '([\w.]+)' is not accepted": _unknown_argument,
    r"unrecognized arguments: --([\w.]+)": _unknown_argument,
    r"Group '([\w.]+)' does not accept option '([\w.]+)'": _unknown_member,
    r"Import path does not correspond to a subclass of (\w+)": _no_subclass,
    r"Expected a dot import path string: (\w+)": _unknown_class,
    r"Unable to load config '([^'\n]*)'": _no_settings,
    r"Expected a typing\.Literal\[": _no_choice,
    r"Expected a member of <enum '\w+'>: \{([\w,]+)\}\. Got value: (.*)": _no_member,
    r"Expected a tuple with (\d+) elements": _wrong_length,
    r"Expected an? <class '(?!NoneType)[\w.]+'>(?!\. Got)": _no_type_of_several,
    r"module '([\w.]+)' has no attribute '(\w+)'": _not_in_module,
    r"No module named '([\w.]+)'": _unknown_module,
    r"the following arguments are required: ([\w., ]+)": _missing_argument,
    r"Expected an? <class '([\w.]+)'>\. Got value: (.*)": _wrong_type,
}
"""Patterns of the parser's reasons, and the functions that write our message for each."""


def _unknown_option(option: str, *, command: str, options: list[str]) -> str:
    root, *rest = option.split(".")
    roots = sorted({known.split(".")[0] for known in options})
    if root not in roots:
        # In `--modle.image_size` only the first part is wrong. The rest may be an argument of a class.
        corrected = get_close_matches(root, roots, n=1, cutoff=0.6)
        hint = f"; did you mean {'.'.join([*corrected, *rest])}?" if corrected else ""
    else:
        hint = did_you_mean(option, [known for known in options if known.startswith(f"{root}.")])
    return f"{option} is no option of {command}{hint}"


def _missing(required: str, *, command: str) -> str:
    names = [name.rsplit(".", 1)[-1] for name in required.split(", ")]
    if set(names) <= {"model", "data"}:
        of_run = "those of a run (--config runs/NAME/config.yaml), or " * (names == ["data"])
        return f"{command} needs {' and '.join(sorted(names))}; give {of_run}for example --config stylegan.yaml"
    return f"{command} needs {', '.join(names)}"


def constructor_parameters(class_path: str) -> dict[str, inspect.Parameter]:
    """The parameters of the constructors of a class and its bases; the class's own come first.

    Args:
        class_path: dotted path of the class. If there is no such class, the result is empty.
    """
    module, _, name = class_path.rpartition(".")
    try:
        named = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return {}
    found: dict[str, inspect.Parameter] = {}
    for base in inspect.getmro(named):
        if "__init__" in vars(base) and base is not object:
            found = {**inspect.signature(vars(base)["__init__"]).parameters, **found}
    return found


def _parameters(class_path: str) -> list[str]:
    """Argument names of the constructors of a class and its bases; fields of a group of settings follow its name."""
    names: dict[str, None] = {}
    for name, parameter in constructor_parameters(class_path).items():
        names[name] = None
        for group in (parameter.annotation, *get_args(parameter.annotation)):
            if is_dataclass(group):
                names |= dict.fromkeys(f"{name}.{field.name}" for field in fields(group))
    return [parameter for parameter in names if parameter not in ("self", "args", "kwargs")]


def _class_names() -> list[str]:
    """The public names of this package's models, data, callbacks and losses, and of Lightning's callbacks."""
    folders = ["models", "data", "callbacks", "losses"]
    modules = [*(f"lightning_gan.{folder}" for folder in folders), "lightning.pytorch.callbacks"]
    return [name for module in modules for name in _public_names(module)] + ["GAN", "GANAdam"]


def _public_names(module: str) -> list[str]:
    return [name for name in vars(import_module(module)) if not name.startswith("_")]


def short(class_path: str) -> str:
    """The name of a class without its module."""
    return class_path.rsplit(".", 1)[-1]


def _first_reason(message: str) -> str:
    """The first line with information of a message that matches no known pattern."""
    noise = ("Does not validate against", "Subtypes:", "Errors:", "Given value", "Problem with given", "Type typing.")
    keys = ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    lines = [re.sub(r'^(Parser key "[\w.]+":?|-)\s*', "", line.strip()) for line in message.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(noise) and "NoneType" not in line]
    return ": ".join(part for part in (keys, *reasons[:1]) if part) if reasons else message
