"""Normalizations, and the minibatch standard deviation, of PGGAN and StyleGAN."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn.functional import instance_norm

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Labels


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
        group_size: number of samples per group. A smaller batch is one group, and with None every batch is.

    Raises:
        ValueError: if the batch size is not a multiple of the group size.
    """

    def __init__(self, *, group_size: int | None = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def group_in(self, batch: int) -> int:
        """Number of samples per group in a batch.

        Args:
            batch: number of samples in the batch.
        """
        return batch if self.group_size is None else min(self.group_size, batch)

    def forward(self, features: Tensor, labels: Labels | None = None) -> Tensor:
        """Features with one more channel: `batch channels height width -> batch (channels + 1) height width`.

        Args:
            features: features, `batch channels height width`.
            labels: not used; groups are the same with and without classes.
        """
        batch, _, height, width = features.shape
        group = self.group_in(batch)
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


class ClassStddev(nn.Module):
    """Appends one channel with the standard deviation over the samples of the batch that have the same class.

    In groups of mixed classes, as those of `MinibatchStddev` are, most of the deviation is that between classes, which
    a generator has that makes one image for each class. Here the (biased) standard deviation of every feature over all
    samples of a class is averaged to one number, which these samples get. A sample without another one of its class
    gets 1e-4, as of equal samples. As for groups, samples of other processes and slices do not count. This layer is
    ours and in no paper; `docs/results.md` has what it changes.
    """

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        """Features with one more channel: `batch channels height width -> batch (channels + 1) height width`.

        Args:
            features: features, `batch channels height width`.
            labels: one class index for each sample, `batch`.

        Raises:
            ValueError: without labels, and for labels that are rows of numbers.
        """
        if labels is None or labels.dim() != 1:
            raise ValueError(
                "minibatch_stddev_within_classes=true compares images of one class, and each label is a row of numbers "
                "or missing; give one class for each image, or set it to false"
            )
        flat = full_precision(features).flatten(1)  # fp32, because of small differences
        same = (labels[:, None] == labels[None, :]).to(flat.dtype)  # batch batch
        same = same / same.sum(dim=1, keepdim=True)
        differences = flat - same @ flat
        deviation = (same @ differences.square() + 1e-8).sqrt().mean(dim=1)  # batch
        channel = repeat(deviation, "batch -> batch 1 h w", h=features.shape[2], w=features.shape[3])
        return torch.cat([features, channel.to(features.dtype)], dim=1)


def stddev_over_samples(
    *, group_size: int | None, within_classes: bool, number_of_classes: int
) -> MinibatchStddev | ClassStddev:
    """The layer of a conditional discriminator: within classes if this is wanted and there are any, else in groups.

    Args:
        group_size: number of samples per group; None is the whole batch.
        within_classes: whether samples of the same class are compared.
        number_of_classes: number of classes; 0 without labels.
    """
    return ClassStddev() if within_classes and number_of_classes else MinibatchStddev(group_size=group_size)
