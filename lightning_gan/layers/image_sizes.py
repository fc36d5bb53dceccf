"""The sizes of images and of feature maps of networks whose first block may have any ratio of height to width."""

from dataclasses import dataclass

SMALLEST, LARGEST = 3, 15
"""Lowest and highest number of pixels of the shorter side of the first block."""


def _near(height: int, width: int) -> tuple[int, int]:
    """A height and width near given ones that are halved to 3 to 15 pixels in the shorter side.

    Example:
        >>> _near(720, 1280), _near(16, 23), _near(100, 100)
        ((704, 1280), (16, 24), (96, 96))
    """
    doublings, shorter = 0, min(height, width)
    while round(shorter / 2**doublings) > LARGEST:
        doublings += 1
    step = 2**doublings
    return max(round(height / step), SMALLEST) * step, max(round(width / step), SMALLEST) * step


@dataclass(frozen=True, kw_only=True)
class ImageSizes:
    """The sizes of the images and of the feature maps of both networks.

    Height and width are halved as often as both are even and the shorter one keeps 3 pixels. This gives the size of the
    first block: 4x4 for powers of two, 4x6 for images of 128x192, 3x4 for 96x128, 7x7 for 28x28.

    Args:
        image_height: height of the images in pixels.
        image_width: width of the images in pixels.
        image_channels: number of channels of the images.
        channel_base: numerator of the number of feature maps, ``channel_base / (4 * 2^block)``.
        channel_max: largest number of feature maps.

    Raises:
        ValueError: if the shorter side cannot be halved down to 3 to 15 pixels.

    Example:
        >>> sizes = ImageSizes(image_height=128, image_width=192, image_channels=3, channel_base=1024, channel_max=64)
        >>> sizes.first, sizes.channels
        ((4, 6), [64, 64, 64, 32, 16, 8])
    """

    image_height: int
    image_width: int
    image_channels: int
    channel_base: int
    channel_max: int

    def __post_init__(self) -> None:
        if not SMALLEST <= min(self.first) <= LARGEST:
            (height, width), near = self.first, _near(self.image_height, self.image_width)
            given = f"image_size={near[0]}" + f" and image_width={near[1]}" * (near[0] != near[1])
            raise ValueError(
                f"images of {self.image_width}x{self.image_height} pixels are halved to {width}x{height}, whose "
                f"shorter side must be {SMALLEST} to {LARGEST}; give a size that can be halved more often, such as "
                f"{given}"
            )

    @property
    def doublings(self) -> int:
        """How often the first block's size is doubled: 8 for images of 1024x1024."""
        number, height, width = 0, self.image_height, self.image_width
        while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= SMALLEST:
            number, height, width = number + 1, height // 2, width // 2
        return number

    @property
    def first(self) -> tuple[int, int]:
        """Height and width of the first block."""
        return self.image_height >> self.doublings, self.image_width >> self.doublings

    def at(self, block: int) -> tuple[int, int]:
        """Height and width in pixels at a block, from 0."""
        return self.first[0] << block, self.first[1] << block

    @property
    def channels(self) -> list[int]:
        """The number of feature maps of every block. (Its size counts as if the first one had 4x4 pixels.)"""
        return [min(self.channel_base // (4 << block), self.channel_max) for block in range(self.doublings + 1)]
