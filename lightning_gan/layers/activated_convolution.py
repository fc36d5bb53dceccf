"""Convolutions of StyleGAN2, whose gain of sqrt(2) is on the activation (Karras et al. 2020, arXiv:1912.04958).

PGGAN and StyleGAN have it on the weight, so that a bias has sqrt(2) times the effect here.
"""

from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from lightning_gan.layers.binomial_filter import BinomialFilter
from lightning_gan.layers.equalized import SQRT2, EqualizedConv2d


def clamped(features: Tensor, limit: float | None) -> Tensor:
    """Features in [-limit, limit]; None does not limit them.

    Args:
        features: features of any shape.
        limit: largest absolute value.
    """
    return features if limit is None else features.clamp(-limit, limit)


class ScaledLeakyReLU(nn.Module):
    """A leaky ReLU of slope 0.2, multiplied by sqrt(2), which keeps the mean square of normal features near 1."""

    def forward(self, features: Tensor) -> Tensor:
        """Activations of the same shape."""
        return leaky_relu(features, 0.2) * SQRT2


class ActivatedConv2d(EqualizedConv2d):
    """A convolution, a bias and ``gain * sqrt(2) * leaky_relu``, and optionally the filter and half the size before it.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        kernel_size: height and width of the kernel, 1 or 3; 3 with `downsamples`.
        downsamples: True filters with [1, 3, 3, 1] and takes every second pixel of the convolution.
        gain: factor on the output.
        clamp: largest absolute value of the output, times `gain`; None does not limit it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        downsamples: bool = False,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        # A leaky ReLU passes positive factors on, so that its gain is on weight and bias, which are smaller.
        super().__init__(in_channels, out_channels, kernel_size=kernel_size, gain=SQRT2 * gain)
        self.bias_scale = SQRT2 * gain
        self.limit = None if clamp is None else clamp * gain
        self.filter = BinomialFilter(padding=2) if downsamples else None

    def forward(self, features: Tensor) -> Tensor:
        """The activations, `batch out_channels height width`, or with half the height and width."""
        assert self.bias is not None
        weight, bias = self.weight * self.weight_scale, self.bias * self.bias_scale
        if self.filter is None:
            outputs = conv2d(features, weight, bias, padding=self.padding)
        else:
            outputs = conv2d(self.filter(features), weight, bias, stride=2)
        return clamped(leaky_relu(outputs, 0.2, inplace=True), self.limit)


class DownsampledSkip(nn.Module):
    """The shortcut of a block that halves the resolution: the filter [1, 3, 3, 1], then a 1x1 convolution.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        gain: factor on the output.
    """

    def __init__(self, in_channels: int, out_channels: int, *, gain: float) -> None:
        super().__init__()
        self.filter = BinomialFilter(padding=1, stride=2)
        self.conv = EqualizedConv2d(in_channels, out_channels, kernel_size=1, gain=gain, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (height / 2) (width / 2)`."""
        outputs: Tensor = self.conv(self.filter(features))
        return outputs
