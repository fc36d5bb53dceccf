"""3x3 convolutions fused with the resampling beside them: the same result in 4/9 of the work.

They are PyTorch's convolutions in every other respect, so that spectral normalization and initializations find them.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d


class UpsampledConv2d(nn.Conv2d):
    """Nearest upsampling by 2, then a 3x3 convolution with zeros beyond the border, as one transposed convolution.

    An output pixel sees each input pixel through the taps that fall on its copies: the 4x4 kernel is the 3x3 kernel
    summed over its 4 shifts, mirrored because a transposed convolution mirrors its kernel.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        kernel = avg_pool2d(self.weight, kernel_size=2, stride=1, padding=1) * 4
        return conv_transpose2d(features, kernel.flip(2, 3).transpose(0, 1), self.bias, stride=2, padding=1)


class DownsampledConv2d(nn.Conv2d):
    """A 3x3 convolution with zeros beyond the border, then averaging 2x2 boxes, as one convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        kernel = avg_pool2d(self.weight, kernel_size=2, stride=1, padding=1)
        return conv2d(features, kernel, self.bias, stride=2, padding=1)
