"""Conversion of images between bytes in 0..255, as in files, and floats in [-1, 1], as in networks."""

import torch

from lightning_gan.tensors.shapes import ImageBytes, Images


def from_bytes(images: ImageBytes) -> Images:
    """Convert bytes in 0..255 to floats in [-1, 1]: ``x / 127.5 - 1``, in torch's default dtype.

    `Trainer(precision=...)` sets the default dtype to the one that it trains in.

    Args:
        images: `batch channels height width`, uint8.
    """
    return images.to(torch.get_default_dtype()) / 127.5 - 1.0


def to_bytes(images: Images) -> ImageBytes:
    """Convert floats in [-1, 1] to uint8 in 0..255: ``clamp(127.5 x + 128, 0, 255)``, truncated.

    The code of StyleGAN's authors (Karras et al. 2019, arXiv:1812.04948) rounds in this way. It is the exact inverse of
    `from_bytes`. Values outside of [-1, 1] are clipped.

    Args:
        images: `batch channels height width`, of any floating-point dtype.

    Example:
        >>> to_bytes(torch.tensor([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)).flatten().tolist()
        [0, 0, 128, 255]
    """
    return (images.float() * 127.5 + 128.0).clamp(0, 255).byte()
