"""Images as an image file would hold them: the metrics look at what a person would look at."""

from lightning_gan.shapes import ImageBytes, Images


def to_bytes(images: Images) -> ImageBytes:
    """Images in [-1, 1] as uint8 in 0..255: ``clamp(127.5 x + 128, 0, 255)``, truncated.

    This is the rounding of the authors of StyleGAN (Karras et al. 2019, arXiv:1812.04948), and it undoes
    ``x = bytes / 127.5 - 1`` exactly. Values beyond [-1, 1] are clipped.

    Example:
        >>> import torch
        >>> to_bytes(torch.tensor([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)).flatten().tolist()
        [0, 0, 128, 255]
    """
    return (images.float() * 127.5 + 128.0).clamp(0, 255).byte()
