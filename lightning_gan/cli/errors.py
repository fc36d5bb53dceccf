"""What a user reads when a setting is wrong: one short message with a suggestion, in place of a page of usage."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module


class CommandLineError(Exception):
    """Something that the user can put right; its text is all that is shown."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to append to a message; empty when nothing known is similar.

    Example:
        >>> did_you_mean("max_epoch", ["max_epochs", "devices"])
        '; did you mean max_epochs?'
        >>> did_you_mean("colour", ["devices"])
        ''
    """
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def explain(message: str, *, command: str, options: list[str]) -> str:
    """One line for a message of the parser.

    The parser tries every alternative of a type and lists all failures, the first of which is the one of the class that was
    named. That one is kept.

    Args:
        message: the parser's message, many lines long as a rule.
        command: `fit`, `test` ...
        options: every option of the command, as `trainer.max_epochs`.
    """
    if found := re.search(r"(?:does not accept option|unrecognized arguments:|Option) '?(?:--)?([\w.+]+)", message):
        if "Parser key" not in message:
            return _unknown_option(found[1], command=command, options=options)
    if found := re.search(r"the following arguments are required: (.*)", message):
        if "Parser key" not in message:
            return _missing(found[1], command=command)
    keys = re.findall(r'Parser key "([\w.]+)"', message)
    place = ".".join(dict.fromkeys(keys))
    class_paths = re.findall(r"Problem with given class_path '([\w.]+)'", message)
    if found := re.search(r"Option '([\w.]+)' is not accepted", message):
        return _unknown_argument(found[1], place=place, class_paths=class_paths, message=message)
    if found := re.search(r"Expected a dot import path string: (\w+)", message):
        return f"{place}: there is no class {found[1]}{did_you_mean(found[1], _class_names())}"
    if found := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", message):
        return f"{place}: {found[1]} has no class {found[2]}{did_you_mean(found[2], _public_names(found[1]))}"
    if found := re.search(r"No module named '([\w.]+)'", message):
        return f"{place}: there is no module {found[1]}"
    if found := re.search(r"(?:the following arguments are required: |Key \")([\w., ]+)", message):
        owner = class_paths[-1].rsplit(".", 1)[-1] if class_paths else place
        return f"{place}: {owner} needs {found[1]}; give --{keys[0] if keys else ''}.{found[1].split(',')[0]}"
    if found := re.search(r"Expected an? <class '([\w.]+)'>\. Got value: (.*)", message):
        return f"{place}: {found[2].strip()} is no {found[1].rsplit('.', 1)[-1]}"
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
        known = re.findall(r"\w+", found[2])
        return f"{found[1]} is none of {', '.join(known)}{did_you_mean(found[1], known)}"
    return _first_reason(message)


def _unknown_option(option: str, *, command: str, options: list[str]) -> str:
    root, *rest = option.split(".")
    roots = sorted({known.split(".")[0] for known in options})
    if root not in roots:
        # `--modle.image_size`: the root alone is wrong, the rest may be an argument of a class that is known later.
        corrected = get_close_matches(root, roots, n=1, cutoff=0.6)
        hint = f"; did you mean {'.'.join([*corrected, *rest])}?" if corrected else ""
    else:
        hint = did_you_mean(option, [known for known in options if known.startswith(f"{root}.")])
    return f"{option} is no option of {command}{hint}"


def _missing(required: str, *, command: str) -> str:
    names = [name.rsplit(".", 1)[-1] for name in required.split(", ")]
    if set(names) <= {"model", "data"}:
        return f"{command} needs {' and '.join(sorted(names))}; give for example --config stylegan.yaml"
    return f"{command} needs {', '.join(names)}"


def _unknown_argument(name: str, *, place: str, class_paths: list[str], message: str) -> str:
    if not class_paths:
        # Optimizers are named by a callable's type: the class stands behind the message, in the value.
        class_paths = re.findall(r"class_path=?'?:? ?'([\w.]+)'", message)[:1]
    if nested := re.search(r"expects a function or a callable class: Option.*?class_path='([\w.]+)'", message):
        class_paths = [nested[1]]
    if not class_paths:
        return f"{place}: there is no option {name}"
    # Of several alternatives the first list entry failed first; of nested classes the innermost is named last before it.
    before = message[: message.index(f"Option '{name}' is not accepted")]
    owners = re.findall(r"Problem with given class_path '([\w.]+)'", before)
    owner = class_paths[0] if nested or not owners else owners[-1]
    short = owner.rsplit(".", 1)[-1]
    return f"{place}: {short} has no option {name}{did_you_mean(name, _parameters(owner))}"


def _parameters(class_path: str) -> list[str]:
    """Names that a class's constructor and those of its bases take."""
    module, _, name = class_path.rpartition(".")
    try:
        named = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return []
    names: dict[str, None] = {}
    for base in inspect.getmro(named):
        if base is not object:
            names |= dict.fromkeys(inspect.signature(base.__init__).parameters)
    return [parameter for parameter in names if parameter not in ("self", "args", "kwargs")]


def _class_names() -> list[str]:
    """The names in our tables of contents, and Lightning's callbacks."""
    folders = ["models", "data", "callbacks", "losses"]
    modules = [*(f"lightning_gan.{folder}" for folder in folders), "lightning.pytorch.callbacks"]
    return [name for module in modules for name in _public_names(module)] + ["GAN", "GANAdam"]


def _public_names(module: str) -> list[str]:
    return [name for name in vars(import_module(module)) if name[:1].isupper()]


def _first_reason(message: str) -> str:
    """The first line that says something, of a message we do not know."""
    noise = ("Does not validate against", "Subtypes:", "Errors:", "Given value", "Problem with given")
    keys = [f"{key}:" for key in dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message))]
    lines = [re.sub(r'^(Parser key "[\w.]+":?|-)\s*', "", line.strip()) for line in message.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(noise) and "NoneType" not in line]
    return " ".join([*keys, *reasons[:1]]) if reasons else message
