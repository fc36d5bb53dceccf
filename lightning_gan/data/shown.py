"""Names of files and classes as text that fits into one line of a message."""

from collections.abc import Sequence

_LONGEST_NAME = 120


def shown(name: object) -> str:
    """Returns a name for a message: line breaks and other unprintable characters are escaped, long names are cut.

    Args:
        name: a name of a file or of a class, or another value that the user gave.

    Example:
        >>> shown("a\\nb.png")
        'a\\\\nb.png'
    """
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(name))
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 20]}...{text[-17:]}"


def listed(names: Sequence[object], *, most: int = 5) -> str:
    """Returns names for a message, separated by commas; of more than `most` the first ones and how many there are.

    Args:
        names: names of files or classes.
        most: largest number of names that are written.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b, ... (3)'
    """
    text = ", ".join(shown(name) for name in names[:most])
    return text if len(names) <= most else f"{text}, ... ({len(names)})"
