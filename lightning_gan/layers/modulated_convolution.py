"""Convolutions whose weights a style modulates and demodulates (Karras et al. 2020, arXiv:1912.04958, section 2.2).

The paper scales the weight of every sample (eq. 1) and divides it by its norm (eq. 3). Here the input and the output of
one convolution for all samples are scaled, which is equal up to rounding and needs no weight per sample.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from lightning_gan.layers.activated_convolution import clamped
from lightning_gan.layers.binomial_filter import BinomialFilter
from lightning_gan.layers.equalized import SQRT2, EqualizedLinear
from lightning_gan.tensors.draws_by_position import normal_like
from lightning_gan.tensors.precision import full_precision, without_autocast


def demodulation(
    weight: Float[Tensor, "out in kernel_height kernel_width"], scales: Float[Tensor, "batch in"], *, eps: float = 1e-8
) -> Float[Tensor, "batch out"]:
    """Factors ``1 / sqrt(sum (scale_i w_oik)^2 + eps)`` of the outputs, for unit variance (eq. 3).

    Args:
        weight: weight of the convolution.
        scales: factors of the inputs, s_i in the paper.
        eps: number that is added to the sum of squares.

    Example:
        >>> weight = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        >>> demodulation(weight, torch.tensor([[1.0, 1.0], [2.0, 0.0]]), eps=0.0).flatten().tolist()
        [0.20000000298023224, 0.1666666716337204]
    """
    return (scales.square() @ weight.square().sum(dim=(2, 3)).t() + eps).rsqrt()


class StyleScales(EqualizedLinear):
    """Maps a style to the scales of a layer's inputs, which start near 1, in full precision.

    Args:
        style_dim: size of the style.
        channels: number of channels of the layer's input.
    """

    def __init__(self, style_dim: int, channels: int) -> None:
        super().__init__(style_dim, channels, gain=1.0)
        assert self.bias is not None
        nn.init.ones_(self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scales, `batch channels`, of styles, `batch style_dim`."""
        with without_autocast(inputs.device):
            return super().forward(full_precision(inputs))


class ModulatedConv2d(nn.Module):
    """A modulated 3x3 convolution, demodulation, noise, bias and ``gain * sqrt(2) * leaky_relu``.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        style_dim: size of the style.
        size: height and width of the output in pixels, for the stored noise.
        upsamples: True doubles the height and width, with the filter [1, 3, 3, 1].
        gain: factor on the output.
        clamp: largest absolute value of the output, times `gain`; None does not limit it.
    """

    noise: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style_dim: int,
        size: tuple[int, int],
        upsamples: bool = False,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.affine = StyleScales(style_dim, in_channels)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(1))  # a vector, because FSDP2 shards no scalars
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, *size))
        self.filter = BinomialFilter(padding=1) if upsamples else None
        self.output_gain = SQRT2 * gain
        self.limit = None if clamp is None else clamp * gain
        self.fan_in = in_channels * 9

    def forward(self, features: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """Features, style `batch style_dim`, and noise (None draws it), to features."""
        scales = self.affine(style)
        with without_autocast(style.device):  # the sum of many squares needs fp32
            factors = demodulation(self.weight, scales) * (self.output_gain * math.sqrt(self.fan_in))
        # The weight is divided by sqrt(fan_in), which the demodulation cancels, so that sums fit into half precision.
        weight = self.weight / math.sqrt(self.fan_in)
        scaled = features * scales[:, :, None, None].to(features.dtype)
        if self.filter is None:
            outputs = conv2d(scaled, weight, padding=1)
        else:
            # Zeros between the pixels need a filter of sum 4.
            outputs = self.filter(conv_transpose2d(scaled, 4 * weight.transpose(0, 1), stride=2))
        if noise is None:
            noise = normal_like(outputs[:, :1])
        # A leaky ReLU passes positive factors on, so that its gain is on the three terms before it.
        offset = torch.addcmul(
            self.bias[:, None, None] * self.output_gain, noise, self.noise_strength * self.output_gain
        )
        outputs = torch.addcmul(offset.to(outputs.dtype), outputs, factors[:, :, None, None].to(outputs.dtype))
        return clamped(leaky_relu(outputs, 0.2, inplace=True), self.limit)


class ToImage(nn.Module):
    """Maps features to an image by a modulated 1x1 convolution without demodulation, and a bias.

    Args:
        channels: number of channels of the features.
        image_channels: number of channels of the image.
        style_dim: size of the style.
        clamp: largest absolute value of the output; None does not limit it.
    """

    def __init__(self, channels: int, image_channels: int, *, style_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.affine = StyleScales(style_dim, channels)
        self.weight = nn.Parameter(torch.randn(image_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.scale = 1 / math.sqrt(channels)
        self.limit = clamp

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Features, and style `batch style_dim`, to an image in fp32, because images of all resolutions are added."""
        scales = self.affine(style)[:, :, None, None] * self.scale
        outputs = conv2d(features * scales.to(features.dtype), self.weight, self.bias)
        return full_precision(clamped(outputs, self.limit))
