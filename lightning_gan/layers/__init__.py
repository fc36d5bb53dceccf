"""Layers that several models use."""

from lightning_gan.layers.blur import Blur
from lightning_gan.layers.equalized import DownsamplingConv2d, EqualizedConv2d, EqualizedLinear, UpsamplingConv2d
from lightning_gan.layers.growing import Growing, stage_of
from lightning_gan.layers.labels import label_vectors
from lightning_gan.layers.mapping import MappingNetwork
from lightning_gan.layers.normalization import (
    ClassStddev,
    InstanceNorm,
    MinibatchStddev,
    PixelNorm,
    pixel_norm,
    stddev_over_samples,
)
from lightning_gan.layers.progressive import GrowingDiscriminator, GrowingGenerator, GrowingSizes
from lightning_gan.layers.resampling import box_downsample, faded, nearest_upsample

__all__ = [
    "Blur",
    "ClassStddev",
    "DownsamplingConv2d",
    "EqualizedConv2d",
    "EqualizedLinear",
    "Growing",
    "GrowingDiscriminator",
    "GrowingGenerator",
    "GrowingSizes",
    "InstanceNorm",
    "MappingNetwork",
    "MinibatchStddev",
    "PixelNorm",
    "UpsamplingConv2d",
    "box_downsample",
    "faded",
    "label_vectors",
    "nearest_upsample",
    "pixel_norm",
    "stage_of",
    "stddev_over_samples",
]
