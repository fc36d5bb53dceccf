"""Layers that more than one model uses."""

from lightning_gan.layers.equalized import DownsamplingConv2d, EqualizedConv2d, EqualizedLinear, UpsamplingConv2d
from lightning_gan.layers.growing import Growing, stage_of
from lightning_gan.layers.labels import label_vectors
from lightning_gan.layers.normalization import MinibatchStddev, pixel_norm
from lightning_gan.layers.progressive import GrowingDiscriminator, channels_of_stages
from lightning_gan.layers.resampling import box_downsample, faded, nearest_upsample

__all__ = [
    "DownsamplingConv2d",
    "EqualizedConv2d",
    "EqualizedLinear",
    "Growing",
    "GrowingDiscriminator",
    "MinibatchStddev",
    "UpsamplingConv2d",
    "box_downsample",
    "channels_of_stages",
    "faded",
    "label_vectors",
    "nearest_upsample",
    "pixel_norm",
    "stage_of",
]
