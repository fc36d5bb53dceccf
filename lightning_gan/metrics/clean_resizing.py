"""The resizing of clean-fid (Parmar et al. 2022, arXiv:2104.11222): Pillow's bicubic filter on floats, which smooths
images that are made smaller.
"""

from torch import Tensor
from torch.nn.functional import interpolate

from lightning_gan.tensors.shapes import ImageBytes


def resized_like_pillow(images: ImageBytes, *, size: int) -> Tensor:
    """Returns float images, `batch channels size size`, that Pillow's bicubic filter makes of float images.

    Values may lie outside of 0 to 255, because the filter overshoots, and are neither clipped nor rounded.
    """
    return interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
