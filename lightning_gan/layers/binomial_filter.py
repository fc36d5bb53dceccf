"""Resampling with the filter [1, 3, 3, 1] (Karras et al. 2020, arXiv:1912.04958, appendix B).

The filter has 4 taps, so that it lies between pixels. Images are padded with zeros. Each channel is filtered alone, in
channels_last, in which a depthwise convolution is several times faster than sums of shifted images.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d


class BinomialFilter(nn.Module):
    """Filters every channel with [1, 3, 3, 1] x [1, 3, 3, 1] / 64, and takes every pixel or every second one.

    Args:
        padding: number of zeros on every side. An image of height h becomes one of height ``h + 2 * padding - 3``.
        stride: distance in pixels between the outputs: 1, or 2 to halve the size.
    """

    kernel: Tensor

    def __init__(self, *, padding: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        self.register_buffer("kernel", _kernel(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Filtered features, `batch channels height width`."""
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 4, 4)
        return conv2d(features, kernel, padding=self.padding, stride=self.stride, groups=channels)


class BinomialUpsampling(nn.Module):
    """Doubles height and width: zeros between the pixels, then the filter [1, 3, 3, 1] x [1, 3, 3, 1] / 16.

    Away from the border, this is bilinear interpolation.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", 4 * _kernel(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch channels (2 height) (2 width)`."""
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 4, 4)
        return conv_transpose2d(features, kernel, padding=1, stride=2, groups=channels)


def _kernel() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(taps, taps)[None, None]  # 1 1 4 4
