"""What BigGAN and BigGAN-deep share (Brock et al. 2019, arXiv:1809.11096): widths by resolution, attention, checks.

Widths are those of the authors' tables as their public code has them. It has no discriminator for 512x512: there, that
of Google's compare_gan stands.
"""

GENERATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""By image size: channels at 4x4 and behind each doubling of the resolution, as multiples of the base."""

DISCRIMINATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
    512: (1, 1, 2, 4, 8, 8, 16, 16),
}
"""By image size: channels behind each block (BigGAN), or before the first and behind each stage (BigGAN-deep)."""

BOTTOM = 4
"""Height and width that a generator starts from."""


def check_sizes(*, image_size: int, attention_resolutions: tuple[int, ...]) -> None:
    """Whether both networks have these resolutions.

    Raises:
        ValueError: for another image size than the tables', or attention where there are no such features.
    """
    if image_size not in GENERATOR_WIDTHS:
        raise ValueError(f"image_size={image_size}: BigGAN has tables for {', '.join(map(str, GENERATOR_WIDTHS))}")
    possible = [size for size in (8, 16, 32, 64, 128, 256) if size < image_size]
    for resolution in attention_resolutions:
        if resolution not in possible:
            raise ValueError(
                f"attention_resolutions={list(attention_resolutions)}: the networks of image_size={image_size} have "
                f"features of {', '.join(map(str, possible))}; give some of these, or [] for no attention"
            )


def keeps_resolution(image_size: int, *, block: int) -> bool:
    """Whether a block of the discriminator does not halve the resolution: at 32x32 none behind 8x8 does."""
    return image_size == 32 and block >= 2
