"""Convolutions that include resampling. They compute the same result with fewer operations: 4/9 for 3x3 kernels.

The layers derive from PyTorch's convolutions, so that spectral normalization and initializations apply to them.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d

from lightning_gan.layers.resampling import box_downsample, nearest_upsample


def upsampled_convolution(features: Tensor, weight: Tensor, bias: Tensor | None, *, scale: float = 1.0) -> Tensor:
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution with zero padding, as one transposed convolution.

    Each input pixel has four copies after the upsampling. The 4x4 kernel is therefore the sum of the 3x3 kernel over
    its 4 shifts. It is mirrored, because a transposed convolution mirrors its kernel.

    Args:
        features: features, `batch in height width`.
        weight: weight of the convolution, `out in 3 3`.
        bias: bias of the convolution, `out`, or None for no bias.
        scale: factor on the weight.

    Returns:
        Features, `batch out (2 height) (2 width)`.
    """
    kernel = avg_pool2d(weight, kernel_size=2, stride=1, padding=1) * (4 * scale)
    return conv_transpose2d(features, kernel.flip(2, 3).transpose(0, 1), bias, stride=2, padding=1)


def downsampled_convolution(features: Tensor, weight: Tensor, bias: Tensor | None, *, scale: float = 1.0) -> Tensor:
    """A 3x3 convolution with zero padding, then the average over 2x2 boxes, as one convolution of stride 2.

    Args:
        features: features, `batch in height width`, with even height and width.
        weight: weight of the convolution, `out in 3 3`.
        bias: bias of the convolution, `out`, or None for no bias.
        scale: factor on the weight.

    Returns:
        Features, `batch out (height / 2) (width / 2)`.
    """
    kernel = avg_pool2d(weight, kernel_size=2, stride=1, padding=1) * scale
    return conv2d(features, kernel, bias, stride=2, padding=1)


class UpsampledConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution, computed by `upsampled_convolution`.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        bias: True adds a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (2 height) (2 width)`."""
        return upsampled_convolution(features, self.weight, self.bias)


class DownsampledConv2d(nn.Conv2d):
    """A 3x3 convolution with bias, then the average over 2x2 boxes, computed by `downsampled_convolution`.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (height / 2) (width / 2)`."""
        return downsampled_convolution(features, self.weight, self.bias)


class UpsampledPointwise(nn.Conv2d):
    """A 1x1 convolution with bias at the lower resolution, then nearest-neighbour upsampling by 2.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (2 height) (2 width)`."""
        return nearest_upsample(super().forward(features), factor=2)


class DownsampledPointwise(nn.Conv2d):
    """The average over 2x2 boxes, then a 1x1 convolution with bias at the lower resolution.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (height / 2) (width / 2)`."""
        return super().forward(box_downsample(features, factor=2))
