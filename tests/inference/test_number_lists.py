"""Lists of numbers from a command line."""

import pytest

from lightning_gan.inference.number_lists import numbers_in, whole_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3", [0, 1, 2, 3]), ("7", [7]), ("5,1,3-4", [5, 1, 3, 4]), ("2-2", [2]), (" 1 , 3 - 4 ", [1, 3, 4])],
)
def test_numbers_and_ranges_come_in_their_order(text: str, numbers: list[int]) -> None:
    assert whole_numbers(text, option="seeds") == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seeds: '' is no number and no range; give whole numbers from 0 and ranges, such as 0-99 or 1,5,7"),
        ("1,,2", "seeds: '1,,2' is no number"),
        ("-1", "seeds: '-1' is no number"),
        ("1.5", "seeds: '1.5' is no number"),
        ("٣", "seeds: '٣' is no number"),
        ("a-b", "seeds: 'a-b' is no number"),
        ("9-3", "seeds: the range 9-3 ends below its beginning; give 3-9"),
        ("1,0-2", "seeds: 1 is listed twice in 1,0-2; list each number once"),
        ("0-99999999999999999999", "seeds: 0-9+ are 100,000,000,000,000,000,000 numbers; give at most 10,000,000"),
    ],
)
def test_what_is_no_list_of_seeds_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        whole_numbers(text, option="seeds")


def test_strengths_may_be_negative() -> None:
    assert numbers_in("-1, 0,.5,+2.", option="truncations") == [-1.0, 0.0, 0.5, 2.0]


@pytest.mark.parametrize("text", ["", "1,,2", "nan", "inf", "1e400", "a"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^truncations: .* is no number; give numbers such as 0,0\.5,1"):
        numbers_in(text, option="truncations")
