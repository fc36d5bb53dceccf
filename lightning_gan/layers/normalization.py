"""Normalizations and statistics over a batch that growing GANs use."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn.functional import instance_norm

from lightning_gan.tensors.precision import full_precision


def pixel_norm(features: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Divide by the root mean square over channels (dimension 1) (Karras et al. 2018, arXiv:1710.10196, section 4.2).

    A latent of dimension d gets length sqrt(d).
    """
    return features * (features.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class PixelNorm(nn.Module):
    """`pixel_norm` as a module, of latents and of features.

    Args:
        eps: added to the mean square.
    """

    def __init__(self, *, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        return pixel_norm(features, eps=self.eps)


class InstanceNorm(nn.Module):
    """Mean 0 and variance 1 for every feature map of every sample."""

    def forward(self, features: Tensor) -> Tensor:
        # Over one flat dimension: with two, PyTorch's gradient is wrong for a batch of one whose gradient arrives in
        # channels_last (2.11 and 2.15, CPU). fp32: a variance, and a tiny eps.
        flat = instance_norm(full_precision(features).flatten(2), eps=1e-8)
        return flat.view_as(features).to(features.dtype)


class MinibatchStddev(nn.Module):
    """Append one channel with the standard deviation over a group of samples (arXiv:1710.10196, section 3).

    The deviation (biased) of every feature over the group is averaged to one number per group. Groups are strided, as
    in the authors' code: samples i, i + batch/group, i + 2 batch/group ... belong together.

    Args:
        group_size: samples per group; smaller batches are one group.

    Raises:
        ValueError: if the batch is no multiple of the group.
    """

    def __init__(self, *, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        group = min(self.group_size, batch)
        if batch % group:
            raise ValueError(
                f"minibatch stddev: a batch of {batch} cannot be cut into groups of {group}; "
                "choose a batch size per rank (and slice) that is a multiple"
            )
        groups = rearrange(
            full_precision(features), "(g n) c h w -> g n c h w", g=group
        )  # fp32: small differences of squares
        deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # n
        channel = repeat(deviation, "n -> (g n) 1 h w", g=group, h=height, w=width).to(features.dtype)
        return torch.cat([features, channel], dim=1)
