"""Normalizations, and the minibatch standard deviation, of PGGAN and StyleGAN."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn.functional import instance_norm

from lightning_gan.tensors.precision import full_precision


def pixel_norm(features: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Divide features by their root mean square over channels (Karras et al. 2018, arXiv:1710.10196, section 4.2).

    The norm of a latent of dimension d becomes sqrt(d).

    Args:
        features: latents or features, `batch channels ...`.
        eps: number that is added to the mean square.
    """
    return features * (features.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class PixelNorm(nn.Module):
    """Divides latents or features, `batch channels ...`, by their root mean square over channels (`pixel_norm`).

    Args:
        eps: number that is added to the mean square.
    """

    def __init__(self, *, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        """Normalized features, of the same shape as `features`."""
        return pixel_norm(features, eps=self.eps)


class InstanceNorm(nn.Module):
    """Normalizes every feature map of every sample to mean 0 and variance 1."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalized features, `batch channels height width`, of the same shape and dtype as `features`."""
        # Positions are flattened, because with two dimensions PyTorch's gradient is wrong for a batch of one whose
        # gradient is in channels_last (2.11 and 2.15, CPU). fp32 is needed for the variance and the small eps.
        flat = instance_norm(full_precision(features).flatten(2), eps=1e-8)
        return flat.view_as(features).to(features.dtype)


class MinibatchStddev(nn.Module):
    """Appends one channel with the standard deviation over a group of samples (arXiv:1710.10196, section 3).

    The (biased) standard deviation of every feature over the group is averaged to one number per group. Groups are
    strided, as in the authors' code: samples i, i + batch/group, i + 2 batch/group, ... are one group.

    Args:
        group_size: number of samples per group. A smaller batch is one group.

    Raises:
        ValueError: if the batch size is not a multiple of the group size.
    """

    def __init__(self, *, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, features: Tensor) -> Tensor:
        """Features with one more channel: `batch channels height width -> batch (channels + 1) height width`."""
        batch, _, height, width = features.shape
        group = min(self.group_size, batch)
        if batch % group:
            raise ValueError(
                f"minibatch stddev: a batch of {batch} cannot be cut into groups of {group}; "
                "choose a batch size per rank (and slice) that is a multiple"
            )
        groups = rearrange(
            full_precision(features), "(g n) c h w -> g n c h w", g=group
        )  # fp32, because these are small differences of squares
        deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # n
        channel = repeat(deviation, "n -> (g n) 1 h w", g=group, h=height, w=width).to(features.dtype)
        return torch.cat([features, channel], dim=1)
