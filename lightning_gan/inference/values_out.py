"""Files of images that no picture of 8 bits holds: their original values as .npy, or as PNG of 16 bits."""

from io import BytesIO

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Num
from PIL import Image
from torch import Tensor

from lightning_gan.data.decoding import PICTURES
from lightning_gan.data.stored_values import ARRAY_SUFFIX, npy_of
from lightning_gan.data.value_range import ValueRange
from lightning_gan.tensors.image_bytes import nearest_bytes

SIXTEEN_BITS = ValueRange(low=0.0, high=65535.0)
"""The values of PNG files of 16 bits, which grey images in this range become."""


def suffix_of(channels: int, value_range: ValueRange | None) -> str:
    """The ending of the files of a model's images: .npy, or .png.

    Args:
        channels: number of channels of the images.
        value_range: the original values that -1 and 1 stand for; None for bytes.

    Example:
        >>> suffix_of(3, None), suffix_of(5, None), suffix_of(1, SIXTEEN_BITS), suffix_of(3, SIXTEEN_BITS)
        ('.png', '.npy', '.png', '.npy')
    """
    is_picture = channels in PICTURES if value_range is None else channels == 1 and value_range == SIXTEEN_BITS
    return ".png" if is_picture else ARRAY_SUFFIX


def original_values(
    image: Float[Tensor, "1 channels height width"], value_range: ValueRange | None
) -> Num[np.ndarray, "..."]:
    """One image in its original values, `height width channels`, or `height width` for one channel.

    They are bytes without a range, float32 with one, and whole numbers of 16 bits for grey in [0, 65535].

    Args:
        image: image in about [-1, 1].
        value_range: the original values that -1 and 1 stand for; None for bytes.
    """
    if value_range is None:
        values = nearest_bytes(image)[0].numpy()
    else:
        wide = value_range.original(image)[0]
        is_whole = suffix_of(len(wide), value_range) == ".png"
        values = wide.round().numpy().astype(np.uint16) if is_whole else wide.to(torch.float32).numpy()
    last = np.ascontiguousarray(rearrange(values, "channels height width -> height width channels"))
    return last[:, :, 0] if last.shape[2] == 1 else last


def values_file(image: Float[Tensor, "1 channels height width"], value_range: ValueRange | None) -> bytes:
    """The contents of the file of one image, with the ending that `suffix_of` says.

    Args:
        image: image in about [-1, 1].
        value_range: the original values that -1 and 1 stand for; None for bytes.
    """
    values = original_values(image, value_range)
    if suffix_of(image.shape[1], value_range) == ARRAY_SUFFIX:
        return npy_of(values)
    contents = BytesIO()
    Image.fromarray(values).save(contents, format="PNG")
    return contents.getvalue()
