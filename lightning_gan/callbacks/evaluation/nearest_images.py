"""Generated images beside the real images that are nearest to them."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lightning_gan.callbacks.figures.pictures import Grid, Table
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.pairwise_distances import PairwiseDistances
from lightning_gan.tensors.shapes import ImageBytes

LARGEST_SIDE = 64
"""Width and height in pixels that images of the picture have at most; larger ones are averaged."""

Thumbnails: TypeAlias = UInt8[Tensor, "batch channels _ _"]
"""Images of another size than those that they are made of."""

NEIGHBOURS = 5
"""Number of training images beside each generated one."""


def thumbnails(images: ImageBytes, *, like: Sequence[int]) -> Thumbnails:
    """Returns images whose sides are at most `LARGEST_SIDE` pixels, by averaging whole squares of pixels.

    Args:
        images: uint8 images, `batch channels height width`.
        like: height and width of the real images. Smaller images, of networks that still grow, are enlarged to them.

    Example:
        >>> thumbnails(torch.zeros(1, 3, 128, 96, dtype=torch.uint8), like=(256, 192)).shape
        torch.Size([1, 3, 64, 48])
    """
    images = nearest_upsample(images, factor=max(like[1] // images.shape[-1], 1))
    factor = -(-max(images.shape[-2:]) // LARGEST_SIDE)
    return images if factor == 1 else avg_pool2d(images.float(), factor).round().to(torch.uint8)


def nearest_picture(
    fake: FakeFeatures,
    fake_images: UInt8[Tensor, "fakes channels height width"],
    real: RealFeatures,
    real_images: UInt8[Tensor, "reals channels height width"],
) -> Grid:
    """Draws each generated image with the `NEIGHBOURS` real images whose features are nearest to its own.

    Args:
        fake: features of the generated images of the picture.
        fake_images: their pixels.
        real: features of all real images.
        real_images: their pixels, of the same size.

    Returns:
        Pixels of the picture: one row for each generated image, which stands to the left.
    """
    count = min(NEIGHBOURS, len(real))
    distances = PairwiseDistances(fake, real)
    places = [distances.kth_nearest(k, elsewhere=False).place.to(real_images.device) for k in range(1, count + 1)]
    shown = [fake_images.cpu(), *(real_images[place].cpu() for place in places)]
    titles = ["generated", *(f"nearest real: {k}" if k > 1 else "nearest real" for k in range(1, count + 1))]
    return Table(rows=list(torch.stack(shown, dim=1)), column_labels=titles, gaps_left=(1,)).drawn()
