"""Feature maps of a network's blocks, as they are asked for or as the paper has them."""

from collections.abc import Sequence


def widths_or_default(
    widths: Sequence[int] | None, default: Sequence[int], *, setting: str, image_size: int
) -> list[int]:
    """The widths that are asked for, or else the default.

    Args:
        widths: what is asked for; None for the default.
        default: what the paper has for this size of images.
        setting: the argument's name, for the message.
        image_size: height and width of the images, for the message.

    Raises:
        ValueError: if there are not as many as in the default, or one is below 1.
    """
    if widths is None:
        return list(default)
    if len(widths) != len(default) or min(widths) < 1:
        raise ValueError(
            f"{setting}={list(widths)} must be {len(default)} numbers from 1 for image_size={image_size}, such as "
            f"{list(default)}"
        )
    return list(widths)
