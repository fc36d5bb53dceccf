"""First blocks of any ratio of height to width."""

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
        ((100, 100), "images of 100x100 pixels are halved to 25x25, whose shorter side must be 3 to 15; .*such as 128"),
        ((64, 34), "halved to 32x17, .*such as 32"),
        ((2, 2), "halved to 2x2, .*such as 4"),
        ((37, 64), "halved to 37x64, .*such as 32"),
    ],
)
def test_other_sizes_are_refused_with_one_that_works(size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sizes_of(*size)
    assert sizes_of(128, 128) and sizes_of(32, 32) and sizes_of(4, 4)
