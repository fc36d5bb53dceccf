"""Conversion of images between bytes in 0..255, as in files, and floats in [-1, 1], as in networks."""

import torch

from lightning_gan.tensors.shapes import ImageBytes, Images


class NotFiniteImagesError(ValueError):
    """Images have values that are not finite, so that no bytes can show them.

    Args:
        broken: number of images with such values.
        count: number of all images.
    """

    def __init__(self, *, broken: int, count: int) -> None:
        super().__init__(f"{broken} of {count} images have values that are not finite; use finite images")
        self.broken = broken
        self.count = count


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
    `from_bytes`. Values outside of [-1, 1] are clipped. The function waits for the device, because it looks at the
    values: NaN would become 0, which is black, and infinity would become white.

    Args:
        images: `batch channels height width`, of any floating-point dtype.

    Raises:
        NotFiniteImagesError: if an image has a value that is NaN or infinite.

    Example:
        >>> to_bytes(torch.tensor([-3.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)).flatten().tolist()
        [0, 0, 128, 255]
    """
    _check_finite(images)
    return nearest_bytes(images)


def clipped_images(images: Images) -> Images:
    """Clip floats to [-1, 1]. The function waits for the device, except in graphs that are compiled or exported.

    Args:
        images: `batch channels height width`, of any floating-point dtype.

    Raises:
        NotFiniteImagesError: if an image has a value that is NaN or infinite.
    """
    if not torch.compiler.is_compiling():
        _check_finite(images)
    return images.clamp(-1.0, 1.0)


def nearest_bytes(images: Images) -> ImageBytes:
    """Convert floats in [-1, 1] to uint8 as `to_bytes` does, without looking at the values.

    It does not wait for the device. Values that are not finite give arbitrary bytes.

    Args:
        images: `batch channels height width`, of any floating-point dtype.
    """
    return (images.float() * 127.5 + 128.0).clamp(0, 255).byte()


def _check_finite(images: Images) -> None:
    if not images.isfinite().all():
        broken = int((~images.isfinite().flatten(1).all(dim=1)).sum())
        raise NotFiniteImagesError(broken=broken, count=len(images))
