"""The classes that a user asks for, by number or by name, and how a class is written in a picture."""

import re
from difflib import get_close_matches

from lightning_gan.data.shown import listed, shown
from lightning_gan.inference.trained_model import TrainedModel

ALL = "all"
"""What stands for every class."""


def chosen_classes(text: str, *, trained: TrainedModel, option: str = "classes") -> list[int]:
    """The numbers of the classes that a text lists, in its order.

    Args:
        text: numbers, ranges of numbers and names of classes, separated by commas, or `all`. What is the name of a
            class and also a number stands for the class with the name.
        trained: the model, which has the names if its checkpoint has them.
        option: name of the option that the text was given for, for messages.

    Raises:
        ValueError: if the model has no classes, for what is no class of it, and for a class that is listed twice.
    """
    count, names = trained.model.number_of_classes, trained.class_names
    if not count:
        raise ValueError(f"{option}={shown(text)}: {trained.name} was trained without classes; leave the option out")
    if text == ALL and ALL not in names:
        return list(range(count))
    chosen: list[int] = []
    for part in text.split(","):
        word = part.strip()
        found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", word)
        if word in names:
            chosen.append(names.index(word))
        elif found is not None and int(found[1]) <= int(found[2] or found[1]) < count:
            chosen += range(int(found[1]), int(found[2] or found[1]) + 1)
        else:
            known = f"the classes are 0 to {count - 1}" + (f", or {listed(names)}" if names else "")
            close = get_close_matches(word, names, n=1)
            hint = f"; did you mean {shown(close[0])}?" if close else ""
            raise ValueError(f"{option}: {shown(word)!r} is no class of this model; {known}{hint}")
    twice = [one for place, one in enumerate(chosen) if one in chosen[:place]]
    if twice:
        raise ValueError(f"{option}: class {twice[0]} is listed twice in {shown(text)}; list each class once")
    return chosen


def title_of(label: int, *, trained: TrainedModel) -> str:
    """How a class is written in a picture: its name if it is known, otherwise its number.

    Args:
        label: number of the class.
        trained: the model.
    """
    return shown(trained.class_names[label]) if trained.class_names else f"class {label}"
