"""Reads lists of whole numbers, such as seeds and layers, from a command line."""

import re

MOST = 10_000_000
"""Largest number of seeds of one command."""


def whole_numbers(text: str, *, option: str, most: int = MOST) -> list[int]:
    """The numbers that a text lists, in its order: `0-3,10` is 0, 1, 2, 3, 10.

    Args:
        text: whole numbers from 0 and ranges of them, both ends included, separated by commas.
        option: name of the option that the text was given for, for messages.
        most: largest number of numbers.

    Raises:
        ValueError: for another form, a range that ends below its beginning, a number that is listed twice, and more
            numbers than `most`.

    Example:
        >>> whole_numbers("0-3,10", option="seeds")
        [0, 1, 2, 3, 10]
    """
    example = "give whole numbers from 0 and ranges, such as 0-99 or 1,5,7"
    ranges: list[range] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        if found is None:
            raise ValueError(f"{option}: {part.strip() or text!r} is no number and no range; {example}")
        first = int(found[1])
        last = first if found[2] is None else int(found[2])
        if last < first:
            raise ValueError(f"{option}: the range {part.strip()} ends below its beginning; give {last}-{first}")
        ranges.append(range(first, last + 1))
    # Not `sum(map(len, ...))`: the length of a larger range than an address overflows.
    count = sum(numbers.stop - numbers.start for numbers in ranges)
    if count > most:
        raise ValueError(f"{option}: {text} are {count:,} numbers; give at most {most:,}")
    numbers = [number for part in ranges for number in part]
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise ValueError(f"{option}: {number} is listed twice in {text}; list each number once")
        seen.add(number)
    return numbers


def numbers_in(text: str, *, option: str) -> list[float]:
    """The numbers that a text lists, separated by commas, in its order: `-1,0,0.5`.

    Args:
        text: finite numbers, separated by commas.
        option: name of the option that the text was given for, for messages.

    Raises:
        ValueError: for what is no finite number.

    Example:
        >>> numbers_in("-1,0,0.5", option="truncations")
        [-1.0, 0.0, 0.5]
    """
    for part in text.split(","):
        if re.fullmatch(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*", part) is None:
            raise ValueError(f"{option}: {part.strip() or text!r} is no number; give numbers such as 0,0.5,1")
    return [float(part) for part in text.split(",")]
