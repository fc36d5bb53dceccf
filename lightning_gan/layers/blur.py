"""Binomial filters that are used with resampling (Karras et al. 2019, arXiv:1812.04948, appendix C)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class Blur(nn.Module):
    """Smooths every channel with the filter [1, 2, 1] x [1, 2, 1] / 16, or with other taps, with zero padding.

    Args:
        taps: weights of the filter in one dimension, which are divided by their sum. A filter with an even number of
            taps extends further to the right and down.
    """

    kernel: Tensor

    def __init__(self, taps: tuple[float, ...] = (1.0, 2.0, 1.0)) -> None:
        super().__init__()
        normalized = torch.tensor(taps) / sum(taps)
        self.register_buffer("kernel", torch.outer(normalized, normalized)[None, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Filtered features, `batch channels height width`, of the same shape as `features`."""
        channels, size = features.shape[1], self.kernel.shape[-1]
        if size % 2 == 0:
            features = pad(features, (0, 1, 0, 1))  # TensorFlow pads in this way
        kernel = self.kernel.to(features.dtype).expand(channels, 1, size, size)
        return conv2d(features, kernel, padding=(size - 1) // 2, groups=channels)
