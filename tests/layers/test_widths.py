"""Widths that are asked for, or the paper's."""

import pytest

from lightning_gan.layers.widths import widths_or_default


def test_widths_that_are_asked_for_come_before_the_papers() -> None:
    assert widths_or_default(None, (4, 2), setting="widths", image_size=8) == [4, 2]
    assert widths_or_default((3, 1), (4, 2), setting="widths", image_size=8) == [3, 1]


@pytest.mark.parametrize("widths", [[], [4], [4, 2, 1], [4, 0]])
def test_another_number_of_widths_or_none_at_all_is_refused(widths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"generator_widths=.* must be 2 numbers .* image_size=8, such as \[4, 2\]"):
        widths_or_default(widths, (4, 2), setting="generator_widths", image_size=8)
