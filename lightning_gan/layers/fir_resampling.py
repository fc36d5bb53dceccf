"""Upsampling and downsampling by 2 with the filter [1, 3, 3, 1] x [1, 3, 3, 1] / 64 of StyleGAN2 and R3GAN."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

TAPS = (1.0, 3.0, 3.0, 1.0)
"""Weights of the filter in one dimension, before they are divided by their sum."""


class FIRResampling(nn.Module):
    """The base class of both: it keeps the filter, whose sum is 1, `1 1 4 4`."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(TAPS) / sum(TAPS)
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def of_channels(self, features: Tensor) -> Tensor:
        """The filter once for each channel of features and in their precision, `channels 1 4 4`."""
        return self.kernel.to(features.dtype).expand(features.shape[1], -1, -1, -1)


class FIRUpsampling(FIRResampling):
    """Puts a zero behind every pixel in both directions and filters with gain 4; outside of the features are zeros.

    Away from the borders this is bilinear upsampling. It is computed as one transposed convolution.
    """

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch channels (2 height) (2 width)`."""
        kernel = 4 * self.of_channels(features)
        return conv_transpose2d(features, kernel, stride=2, padding=1, groups=len(kernel))


class FIRDownsampling(FIRResampling):
    """Filters and keeps every second pixel in both directions; outside of the features are zeros."""

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels (2 height) (2 width) -> batch channels height width`."""
        kernel = self.of_channels(features)
        return conv2d(features, kernel, stride=2, padding=1, groups=len(kernel))
