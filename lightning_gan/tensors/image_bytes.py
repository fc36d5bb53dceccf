"""Images as files hold them, 0..255, and as networks do, [-1, 1]."""

import torch

from lightning_gan.tensors.shapes import ImageBytes, Images


def from_bytes(images: ImageBytes) -> Images:
    """0..255 to [-1, 1], in the default dtype, which is the one that `Trainer(precision=...)` trains in."""
    return images.to(torch.get_default_dtype()) / 127.5 - 1.0


def to_bytes(images: Images) -> ImageBytes:
    """Images in [-1, 1] as uint8 in 0..255: ``clamp(127.5 x + 128, 0, 255)``, truncated.

    This is the rounding of the authors of StyleGAN (Karras et al. 2019, arXiv:1812.04948), and it undoes `from_bytes`
    exactly. Values beyond [-1, 1] are clipped.

    Example:
        >>> to_bytes(torch.tensor([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)).flatten().tolist()
        [0, 0, 128, 255]
    """
    return (images.float() * 127.5 + 128.0).clamp(0, 255).byte()
