"""Batch normalization, with or without a condition, over all ranks, with standing statistics.

An `Affine` gives the gain and the bias of `BatchNorm`: one of each per channel (Ioffe and Szegedy 2015,
arXiv:1502.03167), one per class and channel (Dumoulin et al. 2017, arXiv:1610.07629; WGAN-GP and SNGAN), or a linear
function of a vector of class and latent (BigGAN, Brock et al. 2019, arXiv:1809.11096). Statistics over all devices and
standing statistics are from BigGAN. PyTorch's `SyncBatchNorm` needs GPUs and cannot be differentiated twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, embedding

from lightning_gan.tensors.across_ranks import ranks, sum_over_ranks
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Labels


def batch_moments(features: Tensor, *, across_ranks: bool) -> tuple[Tensor, Tensor, Tensor | int]:
    """The mean and the (biased) variance of each channel, and the number of values per channel.

    Mean and variance have the shape `channels`, in fp32 or fp64.

    Args:
        features: features, `batch channels ...`.
        across_ranks: True computes the statistics of the features of all ranks, whose batches may have different sizes.
            Every rank must then call this function.
    """
    features = full_precision(features)
    axes = [axis for axis in range(features.dim()) if axis != 1]
    values = features.numel() // features.shape[1]
    if not across_ranks:
        variance, mean = torch.var_mean(features, dim=axes, correction=0)
        return mean, variance, values
    sums = sum_over_ranks(torch.cat([features.sum(dim=axes), features.new_tensor([values])]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    deviations = (features - _per_channel(mean, features)).square().sum(dim=axes)  # more accurate than E x^2 - (E x)^2
    return mean, sum_over_ranks(deviations) / count, count


def _per_channel(vectors: Tensor, features: Tensor) -> Tensor:
    """Reshape `channels`, or `batch channels`, so that it can be broadcast to features `batch channels ...`."""
    return vectors.reshape(*vectors.shape, *[1] * (features.dim() - 2))


def rows_of(table: Tensor, labels: Labels) -> Tensor:
    """The row of a table for each label, `batch width`; for multi-hot labels, the sum of the rows of their classes.

    Args:
        table: one row for each class, `classes width`.
        labels: class indices or multi-hot rows.
    """
    return embedding(labels, table) if labels.dim() == 1 else labels.to(table.dtype) @ table


class Affine(nn.Module, ABC):
    """Base class of modules that compute the gain and the bias of `BatchNorm` from a condition."""

    @abstractmethod
    def forward(self, condition: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Gain and bias, each `channels`, or `batch channels` if they differ between samples, or None for none.

        Args:
            condition: labels or a vector for each sample, depending on the class; None if it needs no condition.
        """


class ChannelAffine(Affine):
    """A learned gain and bias for each channel. The gain starts at 1, the bias at 0. The condition is not used.

    Args:
        channels: number of channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.gain, self.bias


class NoAffine(Affine):
    """No gain and no bias. The condition is not used."""

    def forward(self, condition: Tensor | None) -> tuple[None, None]:
        return None, None


class ClassAffine(Affine):
    """A gain and a bias for each class, as in SNGAN, WGAN-GP, SAGAN, and BigGAN without a shared embedding.

    The gain is 1 plus a row of the table `gain`, the bias is a row of the table `bias`. Both tables are
    `classes channels` and start at 0. Spectral normalization does not change them. The condition is a batch of labels:
    class indices, or multi-hot rows, for which the rows of the classes are added.

    Args:
        channels: number of channels of the features.
        number_of_classes: number of classes, which is the number of rows of the tables.
    """

    def __init__(self, channels: int, *, number_of_classes: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(number_of_classes, channels))
        self.bias = nn.Parameter(torch.zeros(number_of_classes, channels))

    def forward(self, condition: Labels | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return 1 + rows_of(self.gain, condition), rows_of(self.bias, condition)


class VectorAffine(Affine):
    """A gain ``1 + Ac`` and a bias ``Bc`` that are linear in a condition vector c, as in BigGAN.

    Args:
        channels: number of channels of the features.
        condition_dim: size of the condition vector; the condition is `batch condition_dim`.
    """

    def __init__(self, channels: int, *, condition_dim: int) -> None:
        super().__init__()
        # There are two layers because spectral normalization divides each by its own norm.
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.bias = nn.Linear(condition_dim, channels, bias=False)

    def forward(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return 1 + self.gain(condition), self.bias(condition)


def labelled_affine(channels: int, *, number_of_classes: int) -> Affine:
    """A `ClassAffine` if there are classes, otherwise a `ChannelAffine`.

    Args:
        channels: number of channels of the features.
        number_of_classes: number of classes; 0 without classes.
    """
    return ClassAffine(channels, number_of_classes=number_of_classes) if number_of_classes else ChannelAffine(channels)


class BatchNorm(nn.Module):
    """Normalizes each channel to mean 0 and variance 1 over the batch and all positions, then applies gain and bias.

    In training mode it uses the statistics of the batch and updates running averages of them: of the mean, and of the
    unbiased variance, as in PyTorch. In evaluation mode it uses the standing statistics if there are any (see
    `standing_statistics`), otherwise the running averages. Statistics are computed in fp32 under autocast.

    Args:
        channels: number of channels of the features, which are `batch channels ...`.
        affine: module that computes gain and bias; None takes a `ChannelAffine`, which learns them for each channel.
        eps: number that is added to the variance.
        momentum: weight of a new batch in the running averages, in [0, 1]. A decay of 0.9 in a paper is 0.1 here.
        across_ranks: True computes the statistics in training mode over the batches of all ranks ("sync",
            "cross-replica"), so that several devices give the weights of one.
        always_batch_statistics: True uses the statistics of the batch in evaluation mode as well, as the generators of
            WGAN-GP do. Each sample then depends on the other samples of its batch.
    """

    running_mean: Tensor
    running_variance: Tensor
    standing_mean: Tensor
    standing_variance: Tensor
    standing_batches: Tensor

    def __init__(
        self,
        channels: int,
        *,
        affine: Affine | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        across_ranks: bool = True,
        always_batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.across_ranks = across_ranks
        self.always_batch_statistics = always_batch_statistics
        self.affine = ChannelAffine(channels) if affine is None else affine
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        # Sums over batches. A count of 0 means that there are no standing statistics.
        self.register_buffer("standing_mean", torch.zeros(channels))
        self.register_buffer("standing_variance", torch.zeros(channels))
        self.register_buffer("standing_batches", torch.zeros((), dtype=torch.int64))
        self.is_accumulating = False

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalized features, of the same shape and dtype as `features`.

        Args:
            features: features, `batch channels ...`.
            condition: condition of the `Affine`: labels, or a vector for each sample; None if it needs none.
        """
        gain, bias = self.affine(condition)
        if gain is None or bias is None or gain.dim() == 1:
            return self._normalized(features, gain, bias)
        normalized = self._normalized(features, None, None)
        gain, bias = gain.to(normalized.dtype), bias.to(normalized.dtype)
        return torch.addcmul(_per_channel(bias, normalized), normalized, _per_channel(gain, normalized))

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        """The mean and the variance that normalize features in evaluation mode, `channels` each."""
        are_standing, batches = self.standing_batches > 0, self.standing_batches.clamp(min=1)
        mean = torch.where(are_standing, self.standing_mean / batches, self.running_mean)
        return mean, torch.where(are_standing, self.standing_variance / batches, self.running_variance)

    @torch.no_grad()
    def forget_standing(self) -> None:
        """Delete the standing statistics, so that evaluation mode uses the running averages again."""
        for buffer in (self.standing_mean, self.standing_variance, self.standing_batches):
            buffer.zero_()

    def _normalized(self, features: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
        """Normalize features, and apply a gain and a bias that are `channels` or None."""
        if self.is_accumulating:
            self._accumulate(features)
            return batch_norm(features, None, None, gain, bias, training=True, eps=self.eps)
        if self.training and self.across_ranks and ranks() > 1:
            return self._normalized_across_ranks(features, gain, bias)
        if self.training:
            mean, variance = self.running_mean, self.running_variance  # the call below updates them in place
        elif self.always_batch_statistics:
            return batch_norm(features, None, None, gain, bias, training=True, eps=self.eps)
        else:
            mean, variance = self.evaluation_statistics()
        return batch_norm(
            features, mean, variance, gain, bias, training=self.training, momentum=self.momentum, eps=self.eps
        )

    def _normalized_across_ranks(self, features: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
        mean, variance, count = batch_moments(features, across_ranks=True)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_variance.lerp_(unbiased.to(self.running_variance), self.momentum)
        scale = (variance + self.eps).rsqrt()
        shift = -mean * scale
        if gain is not None:
            scale, shift = scale * gain, shift * gain
        if bias is not None:
            shift = shift + bias
        normalized = torch.addcmul(
            _per_channel(shift, features), full_precision(features), _per_channel(scale, features)
        )
        return normalized.to(features.dtype)

    @torch.no_grad()
    def _accumulate(self, features: Tensor) -> None:
        mean, variance, _ = batch_moments(features, across_ranks=False)
        self.standing_mean += mean.to(self.standing_mean)
        self.standing_variance += variance.to(self.standing_variance)
        self.standing_batches += 1


def batch_norms_of(network: nn.Module) -> list[BatchNorm]:
    """All `BatchNorm` layers of a network."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def standing_statistics(network: nn.Module) -> Iterator[None]:
    """Context manager that measures the standing statistics of a network's batch normalizations (BigGAN).

    At its start, earlier standing statistics are deleted. Inside, every forward pass adds the statistics of its batch.
    The standing statistics are the averages of the means and of the variances of all batches. Evaluation mode uses them
    from then on, until `BatchNorm.forget_standing`. Running averages are not changed. Keep the network in evaluation
    mode inside, so that nothing else is updated; batch normalization still uses the statistics of each batch.

    With several ranks, either run the same batches on every rank, or sum the buffers over ranks afterwards.

    Args:
        network: network with `BatchNorm` layers.
    """
    layers = batch_norms_of(network)
    for layer in layers:
        layer.forget_standing()
        layer.is_accumulating = True
    try:
        yield
    finally:
        for layer in layers:
            layer.is_accumulating = False
