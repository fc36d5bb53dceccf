"""A typed function as a command line: what is positional, what is an option, and what is refused in one line."""

from enum import Enum
from typing import Any

import pytest

from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.functions import call


class Shade(Enum):
    """A choice."""

    light = "light"
    dark = "dark"


CALLS: list[dict[str, Any]] = []


def paint(
    wall: str, floor: str | None = None, *, coats: int = 1, dry: bool = True, rough: bool = False, tones: str = "0,1"
) -> None:
    """Paint a wall.

    It takes a while.

    Args:
        wall: the wall, which
            is tall.
        floor: the floor below.
        coats: how often.
        dry: whether it dries.
        rough: whether it is rough.
        tones: numbers of tones.
    """
    CALLS.append(dict(locals()))


def hang(wall: str, pictures: list[str], *, shade: Shade = Shade.light) -> None:
    """Hang pictures.

    Args:
        wall: the wall.
        pictures: the pictures.
        shade: the shade.
    """
    CALLS.append(dict(locals()))


def called(function: Any, arguments: str) -> dict[str, Any]:
    """What a function was called with."""
    CALLS.clear()
    call(function, arguments.split(), command="work")
    (only,) = CALLS
    return only


PLAIN = {"wall": "north", "floor": None, "coats": 1, "dry": True, "rough": False, "tones": "0,1"}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ("north", {}),
        ("north oak", {"floor": "oak"}),
        ("north --coats 2 oak", {"floor": "oak", "coats": 2}),
        ("--rough north oak", {"floor": "oak", "rough": True}),
        ("--rough true north", {"rough": True}),
        ("north --rough --dry false", {"rough": True, "dry": False}),
        ("north --dry=no", {"dry": False}),
        ("north --tones -1,0,1 --rough", {"tones": "-1,0,1", "rough": True}),
        ("north --coats -1", {"coats": -1}),
    ],
)
def test_what_is_given_arrives(arguments: str, changed: dict[str, Any]) -> None:
    assert called(paint, arguments) == PLAIN | changed


def test_a_list_takes_all_words_and_an_enumeration_its_member() -> None:
    assert called(hang, "north a.png --shade dark b,c.png [1]") == {
        "wall": "north",
        "pictures": ["a.png", "b,c.png", "[1]"],
        "shade": Shade.dark,
    }


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (paint, "", "work needs wall"),
        (paint, "north oak roof", "roof is one argument too many: work takes wall, floor"),
        (paint, "north --coat 2", "coat is no option of work; did you mean coats?"),
        (paint, "north --coats", "--coats needs a value"),
        (paint, "north --coats --rough", "--coats needs a value"),
        (paint, "north --coats two", "coats: two is no int"),
        (paint, "north --rough=maybe", "rough: maybe is no bool"),
        (hang, "north", "work needs pictures"),
        (hang, "north a.png --shade grey", "shade: grey is none of light, dark"),
    ],
)
def test_what_does_not_fit_is_refused(function: Any, arguments: str, message: str) -> None:
    with pytest.raises(CommandLineError, match=f"^{message}"):
        call(function, arguments.split(), command="work")


def test_the_help_has_the_words_of_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        call(paint, ["north", "--help"], command="work")
    assert exit_.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("wall [floor]", "Paint a wall.", "the wall, which is tall.", "the floor below.", "how often."):
        assert words in shown
    assert "Args" not in shown
