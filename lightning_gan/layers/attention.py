"""Self-attention over positions (Zhang et al. 2019, SAGAN, arXiv:1805.08318), as SAGAN's code and BigGAN have it."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from lightning_gan.tensors.precision import full_precision


class SelfAttention(nn.Module):
    """Every position adds a weighted mean of all positions: ``x + gamma * o(softmax(theta(x)' phi(x)) g(x))``.

    Queries (theta) and keys (phi) have an eighth of the channels, values (g) half of them. Keys and values are pooled
    to half the resolution. All maps are 1x1 convolutions without bias; `gamma` starts at 0, so that a network begins
    without attention. Spectral normalization is put on from outside.

    Differentiable twice, for gradient penalties.

    Args:
        channels: of the features.

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
        height, width = features.shape[-2:]
        queries = rearrange(self.theta(features), "b c h w -> b (h w) c")
        keys = rearrange(max_pool2d(self.phi(features), kernel_size=2), "b c h w -> b c (h w)")
        values = rearrange(max_pool2d(self.g(features), kernel_size=2), "b c h w -> b (h w) c")
        weights = full_precision(queries @ keys).softmax(dim=-1)  # b queries keys; rows sum to 1
        seen = rearrange(weights.to(values.dtype) @ values, "b (h w) c -> b c h w", h=height, w=width)
        return torch.add(features, self.gamma * self.o(seen)).to(features.dtype)
