"""Changes of the size of images by integer factors: averages over boxes, and nearest-neighbour upsampling."""

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from lightning_gan.tensors.shapes import Images


def box_downsample(images: Tensor, *, factor: int) -> Tensor:
    """Average over boxes of `factor` x `factor` pixels: `b c (h f) (w f) -> b c h w`."""
    return avg_pool2d(images, kernel_size=factor)


def nearest_upsample(images: Tensor, *, factor: int) -> Tensor:
    """Repeat each pixel `factor` x `factor` times: `b c h w -> b c (h f) (w f)`, in the same memory format."""
    return interpolate(images, scale_factor=factor, mode="nearest")


def faded(images: Images, *, resolution: int, fade_in: float) -> Tensor:
    """Real images at the active resolution of a growing network, blended in the same way as its fakes.

    While a resolution fades in, its details have the weight `fade_in` (Karras et al. 2018, arXiv:1710.10196, section 2
    and figure 2): ``lerp(upsample(downsample(x)), x, fade_in)``.

    Args:
        images: real images of full size, `batch channels height width`.
        resolution: active resolution in pixels, a divisor of the height.
        fade_in: weight of the newest resolution, in (0, 1]. 1 does not blend.

    Raises:
        ValueError: if the height of the images is not a multiple of the active resolution.
    """
    height = images.shape[-2]
    if height % resolution:
        raise ValueError(f"images of height {height} cannot be shown at the active resolution {resolution}")
    if height > resolution:
        images = box_downsample(images, factor=height // resolution)
    if fade_in < 1.0:
        coarse = nearest_upsample(box_downsample(images, factor=2), factor=2)
        images = coarse.lerp(images, fade_in)
    return images
