"""Self-attention over positions (Zhang et al. 2019, SAGAN, arXiv:1805.08318), as in the code of SAGAN and in BigGAN."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from lightning_gan.tensors.precision import full_precision


class SelfAttention(nn.Module):
    """Adds a weighted mean over all positions to each position: ``x + gamma * o(softmax(theta(x)' phi(x)) g(x))``.

    Queries (theta) and keys (phi) have 1/8 of the channels, values (g) have 1/2 of them. Keys and values are pooled to
    half the resolution. All maps are 1x1 convolutions without bias. `gamma` is 0 at the start, so that the layer first
    returns its input. The layer does not normalize its weights; networks apply spectral normalization to it.

    It can be differentiated twice, for gradient penalties.

    Args:
        channels: number of channels of the features, at least 8.

    Raises:
        ValueError: for fewer than 8 channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"self-attention takes an eighth of its channels, so {channels} channels are too few")
        self.theta = nn.Conv2d(channels, channels // 8, kernel_size=1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, kernel_size=1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, kernel_size=1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Features with attention, `batch channels height width`, of the same shape as `features`."""
        height, width = features.shape[-2:]
        queries = rearrange(self.theta(features), "b c h w -> b (h w) c")
        keys = rearrange(max_pool2d(self.phi(features), kernel_size=2), "b c h w -> b c (h w)")
        values = rearrange(max_pool2d(self.g(features), kernel_size=2), "b c h w -> b (h w) c")
        weights = full_precision(queries @ keys).softmax(dim=-1)  # b queries keys; rows sum to 1
        seen = rearrange(weights.to(values.dtype) @ values, "b (h w) c -> b c h w", h=height, w=width)
        return torch.add(features, self.gamma * self.o(seen)).to(features.dtype)
