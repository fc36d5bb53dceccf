"""First blocks of any ratio of height to width."""

import re
from itertools import product

import pytest

from lightning_gan.layers.image_sizes import ImageSizes


def sizes_of(height: int, width: int) -> ImageSizes:
    return ImageSizes(image_height=height, image_width=width, image_channels=3, channel_base=32768, channel_max=512)


@pytest.mark.parametrize(
    ("size", "first", "doublings"),
    [
        ((1024, 1024), (4, 4), 8),
        ((8, 8), (4, 4), 1),
        ((4, 4), (4, 4), 0),
        ((128, 192), (4, 6), 5),
        ((96, 128), (3, 4), 5),
        ((28, 28), (7, 7), 2),
        ((192, 64), (12, 4), 4),
        ((96, 96), (3, 3), 5),
        ((20, 40), (5, 10), 2),
        ((576, 1024), (9, 16), 6),
    ],
)
def test_both_sides_are_halved_as_often_as_they_can_be(
    size: tuple[int, int], first: tuple[int, int], doublings: int
) -> None:
    sizes = sizes_of(*size)
    assert (sizes.first, sizes.doublings, sizes.at(doublings)) == (first, doublings, size)


def test_widths_are_the_authors() -> None:
    assert sizes_of(1024, 1024).channels == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert sizes_of(128, 192).channels == [512, 512, 512, 512, 512, 256]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((100, 100), "images of 100x100 pixels are halved to 25x25, whose shorter side .* such as image_size=96$"),
        ((64, 34), "images of 34x64 pixels are halved to 17x32, .* such as image_size=64 and image_width=32$"),
        ((2, 2), "halved to 2x2, .* such as image_size=3$"),
        ((16, 23), "images of 23x16 pixels .* such as image_size=16 and image_width=24$"),
        ((720, 1280), "halved to 80x45, .* such as image_size=704 and image_width=1280$"),
    ],
)
def test_other_sizes_are_refused_as_width_and_height_with_a_size_that_works(
    size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sizes_of(*size)


def test_the_size_that_a_refusal_names_is_never_refused() -> None:
    numbers = [*range(1, 70), 99, 225, 720, 1023]
    for height, width in product(numbers, numbers):
        try:
            sizes_of(height, width)
        except ValueError as error:
            named = [int(number) for number in re.findall(r"=(\d+)", str(error))]
            assert sizes_of(named[0], named[-1]).first
