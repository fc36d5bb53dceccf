"""The widths (numbers of feature maps) of a network's blocks: those that the user gives, or those of the paper."""

from collections.abc import Sequence


def widths_or_default(
    widths: Sequence[int] | None, default: Sequence[int], *, setting: str, image_size: int
) -> list[int]:
    """The given widths after a check, or the default if none are given.

    Args:
        widths: numbers of feature maps of the blocks; None takes the default.
        default: numbers of feature maps in the paper for this image size.
        setting: name of the argument, for the error message.
        image_size: height and width of the images in pixels, for the error message.

    Raises:
        ValueError: if the number of widths differs from that of the default, or a width is below 1.
    """
    if widths is None:
        return list(default)
    if len(widths) != len(default) or min(widths) < 1:
        raise ValueError(
            f"{setting}={list(widths)} must be {len(default)} numbers from 1 for image_size={image_size}, such as "
            f"{list(default)}"
        )
    return list(widths)
