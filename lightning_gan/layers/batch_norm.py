"""Batch normalization, with or without a condition, over all ranks, with standing statistics.

`BatchNorm` is the one layer. An `Affine` says where its gain and bias come from: from learned numbers of each channel
(Ioffe and Szegedy 2015, arXiv:1502.03167), from a table with a row for each class (Dumoulin et al. 2017,
arXiv:1610.07629; WGAN-GP and SNGAN), or from a vector of class and latent (BigGAN, Brock et al. 2019,
arXiv:1809.11096). Statistics over all devices and standing statistics are BigGAN's too.

PyTorch's `SyncBatchNorm` exists on GPUs alone and cannot be differentiated twice; this one works everywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import batch_norm, embedding

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Labels


class _SumOverRanks(torch.autograd.Function):
    """A sum over all ranks; each rank's part moves every rank's result, so the gradient is summed as well."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return sum_over_ranks(gradient)


def sum_over_ranks(part: Tensor) -> Tensor:
    """The sum of every rank's tensor, on every rank; differentiable as often as you like."""
    total: Tensor = _SumOverRanks.apply(part)
    return total


def ranks() -> int:
    """How many processes train together; 1 outside of distributed training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def batch_moments(features: Tensor, *, across_ranks: bool) -> tuple[Tensor, Tensor, Tensor | int]:
    """Mean and (biased) variance per channel, `channels` each in at least fp32, and how many values they are taken of.

    Args:
        features: `batch channels ...`.
        across_ranks: of all ranks' features; every rank has to call. Their batches may be of different sizes.
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
    deviations = (features - _per_channel(mean, features)).square().sum(dim=axes)  # small differences keep their digits
    return mean, sum_over_ranks(deviations) / count, count


def _per_channel(vectors: Tensor, features: Tensor) -> Tensor:
    """`channels`, or `batch channels`, with ones behind until they go with `batch channels ...`."""
    return vectors.reshape(*vectors.shape, *[1] * (features.dim() - 2))


def rows_of(table: Tensor, labels: Labels) -> Tensor:
    """A row of a table `classes width` for each label: the class's own, or the sum over a multi-hot row's classes."""
    return embedding(labels, table) if labels.dim() == 1 else labels.to(table.dtype) @ table


class Affine(nn.Module, ABC):
    """Gives gain and bias, by which normalized features are multiplied and shifted."""

    @abstractmethod
    def forward(self, condition: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Gain and bias, each `channels`, or `batch channels` where they differ from sample to sample, or None."""


class ChannelAffine(Affine):
    """A learned gain (from 1) and bias (from 0) for each channel; the condition is not used.

    Args:
        channels: channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.gain, self.bias


class NoAffine(Affine):
    """Neither gain nor bias."""

    def forward(self, condition: Tensor | None) -> tuple[None, None]:
        return None, None


class ClassAffine(Affine):
    """A gain and a bias for each class: SNGAN, WGAN-GP, SAGAN, and BigGAN without a shared embedding.

    The gain is 1 plus a row of the table `gain`, the bias is a row of the table `bias`. Both tables are
    `classes channels` and start at 0. Spectral normalization does not change them. The condition is a batch of labels:
    class indices, or multi-hot rows, whose classes add up.

    Args:
        channels: channels of the features.
        number_of_classes: number of rows of the tables.
    """

    def __init__(self, channels: int, *, number_of_classes: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(number_of_classes, channels))
        self.bias = nn.Parameter(torch.zeros(number_of_classes, channels))

    def forward(self, condition: Labels | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return 1 + rows_of(self.gain, condition), rows_of(self.bias, condition)


class VectorAffine(Affine):
    """Gain and bias are linear in a condition vector c, ``1 + Ac`` and ``Bc``: BigGAN.

    Args:
        channels: channels of the features.
        condition_dim: size of the condition, which is `batch condition_dim`.
    """

    def __init__(self, channels: int, *, condition_dim: int) -> None:
        super().__init__()
        # Two layers and not one, because spectral normalization divides each by its own norm.
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.bias = nn.Linear(condition_dim, channels, bias=False)

    def forward(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return 1 + self.gain(condition), self.bias(condition)


def labelled_affine(channels: int, *, number_of_classes: int) -> Affine:
    """A gain and a bias for each class, or for each channel where there are no classes.

    Args:
        channels: channels of the features.
        number_of_classes: 0 for no classes.
    """
    return ClassAffine(channels, number_of_classes=number_of_classes) if number_of_classes else ChannelAffine(channels)


class BatchNorm(nn.Module):
    """Every channel to mean 0 and variance 1 over the batch and all positions, then a gain and a bias.

    In training mode it is the batch's own statistics that count, and running averages of them are kept: the mean, and
    the unbiased variance, as in PyTorch. In evaluation mode it is the standing statistics if there are any (see
    `standing_statistics`), else the running averages. Statistics are in fp32 under autocast.

    Args:
        channels: channels of the features, which are `batch channels ...`.
        affine: gives gain and bias; None is `ChannelAffine`, which learns them for each channel.
        eps: number that is added to the variance.
        momentum: weight of a new batch in the running averages, 0.1 if the authors speak of a decay of 0.9.
        across_ranks: in training, take the statistics of all ranks' batches as one ("sync", "cross-replica").
        always_batch_statistics: normalize with the batch's own statistics in evaluation mode as well, as WGAN-GP's
            generators do. What is sampled then depends on what it is sampled with.
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
        across_ranks: bool = False,
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
        # Sums over batches; with a count of 0 they are not there.
        self.register_buffer("standing_mean", torch.zeros(channels))
        self.register_buffer("standing_variance", torch.zeros(channels))
        self.register_buffer("standing_batches", torch.zeros((), dtype=torch.int64))
        self.is_accumulating = False

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalized features, of the shape and the dtype of `features`.

        Args:
            features: `batch channels ...`.
            condition: what the `Affine` takes: labels, or a vector for each sample; None where it takes nothing.
        """
        gain, bias = self.affine(condition)
        if gain is None or bias is None or gain.dim() == 1:
            return self._normalized(features, gain, bias)
        normalized = self._normalized(features, None, None)
        gain, bias = gain.to(normalized.dtype), bias.to(normalized.dtype)
        return torch.addcmul(_per_channel(bias, normalized), normalized, _per_channel(gain, normalized))

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance by which features are normalized in evaluation mode."""
        are_standing, batches = self.standing_batches > 0, self.standing_batches.clamp(min=1)
        mean = torch.where(are_standing, self.standing_mean / batches, self.running_mean)
        return mean, torch.where(are_standing, self.standing_variance / batches, self.running_variance)

    @torch.no_grad()
    def forget_standing(self) -> None:
        """Back to the running averages."""
        for buffer in (self.standing_mean, self.standing_variance, self.standing_batches):
            buffer.zero_()

    def _normalized(self, features: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
        """Gain and bias are `channels`, or None."""
        if self.is_accumulating:
            self._accumulate(features)
            return batch_norm(features, None, None, gain, bias, training=True, eps=self.eps)
        if self.training and self.across_ranks and ranks() > 1:
            return self._normalized_across_ranks(features, gain, bias)
        if self.training:
            mean, variance = self.running_mean, self.running_variance  # moved by the call below
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
        if gain is not None and bias is not None:
            scale, shift = scale * gain, shift * gain + bias
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
    """Every batch normalization of a network."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def standing_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, every forward adds its batch's statistics to the standing statistics, which start anew (BigGAN).

    They are the averages of the batches' means and variances, and are what evaluation mode uses from then on, until
    `BatchNorm.forget_standing`. Running averages stay as they are. Keep the network in evaluation mode inside, so that
    nothing else moves: batch normalization uses the statistics of each batch all the same.

    Under several ranks each accumulates the same batches, or other ones if somebody sums the buffers afterwards.
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
