"""Layers with an equalized learning rate (Karras et al. 2018, arXiv:1710.10196, section 4.1).

Weights are initialized from a standard normal distribution and multiplied by He's constant in every forward pass, so
that Adam changes all layers at the same relative speed. Biases start at 0 and are not scaled.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from lightning_gan.layers.resampling_convolutions import downsampled_convolution, upsampled_convolution

SQRT2 = math.sqrt(2.0)


class EqualizedLinear(nn.Module):
    """A linear layer, `batch in_features -> batch out_features`, with weight ``gain / sqrt(in_features) * W``.

    Args:
        in_features: size of the input.
        out_features: size of the output.
        gain: factor on the weight: sqrt(2) before a (leaky) ReLU, 1 without an activation after the layer.
        bias: True adds a bias, which starts at 0.
        learning_rate_multiplier: factor on the effective learning rate of the layer. The stored weight and bias are
            divided by it, and multiplied by it in every forward pass.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        gain: float = SQRT2,
        bias: bool = True,
        learning_rate_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / learning_rate_multiplier)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.weight_scale = gain / math.sqrt(in_features) * learning_rate_multiplier
        self.bias_scale = learning_rate_multiplier

    def forward(self, inputs: Tensor) -> Tensor:
        """The output of the layer, `batch out_features`."""
        bias: Tensor | None = self.bias
        if bias is not None and self.bias_scale != 1.0:
            bias = bias * self.bias_scale
        return linear(inputs, self.weight * self.weight_scale, bias)


class EqualizedConv2d(nn.Module):
    """A convolution with "same" padding and weight ``gain / sqrt(fan_in) * W``, fan_in = in_channels * kernel_size^2.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        kernel_size: height and width of the kernel, 1 or 3.
        gain: factor on the weight: sqrt(2) before a (leaky) ReLU, 1 without an activation after the layer.
        bias: True adds a bias, which starts at 0. Subclasses that resample add it after the resampling.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, gain: float = SQRT2, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2

    def forward(self, features: Tensor) -> Tensor:
        """The output of the layer, `batch out_channels height width`."""
        return conv2d(features, self.weight * self.weight_scale, self.bias, padding=self.padding)


class UpsamplingConv2d(EqualizedConv2d):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution, computed by `upsampled_convolution`.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        gain: factor on the weight: sqrt(2) before a (leaky) ReLU, 1 without an activation after the layer.
        bias: True adds a bias, which starts at 0.
    """

    def __init__(self, in_channels: int, out_channels: int, *, gain: float = SQRT2, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, gain=gain, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """The output of the layer, with twice the height and width of `features`."""
        return upsampled_convolution(features, self.weight, self.bias, scale=self.weight_scale)


class DownsamplingConv2d(EqualizedConv2d):
    """A 3x3 convolution, then the average of 2x2 boxes, computed by `downsampled_convolution`.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        gain: factor on the weight: sqrt(2) before a (leaky) ReLU, 1 without an activation after the layer.
        bias: True adds a bias, which starts at 0.
    """

    def __init__(self, in_channels: int, out_channels: int, *, gain: float = SQRT2, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, gain=gain, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """The output of the layer, with half the height and width of `features`."""
        return downsampled_convolution(features, self.weight, self.bias, scale=self.weight_scale)
