"""Batch normalization of generators: plain or conditional, over all ranks, with standing statistics.

Batch normalization is of Ioffe and Szegedy 2015 (arXiv:1502.03167), a gain and a bias per class of Dumoulin et al. 2017
(arXiv:1610.07629). WGAN-GP and SNGAN keep them in tables; BigGAN (Brock et al. 2019, arXiv:1809.11096) computes them
from a vector of class and latent. Statistics over all devices and standing statistics are BigGAN's too.

PyTorch's `SyncBatchNorm` exists on GPUs alone and cannot be differentiated twice; this one works everywhere.
"""

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


class BatchNorm(nn.Module):
    """Every channel to mean 0 and variance 1 over the batch and all positions, then a learned gain and bias.

    In training mode it is the batch's own statistics that count, and running averages of them are kept: the mean, and
    the unbiased variance, as in PyTorch. In evaluation mode it is the standing statistics if there are any (see
    `standing_statistics`), else the running averages. Statistics are in fp32 under autocast.

    Args:
        channels: of the features, `batch channels ...`.
        eps: is added to the variance.
        momentum: weight of a new batch in the running averages, 0.1 if the authors speak of a decay of 0.9.
        affine: whether gain (from 1) and bias (from 0) are learned.
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
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        across_ranks: bool = False,
        always_batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.across_ranks = across_ranks
        self.always_batch_statistics = always_batch_statistics
        self.gain = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        # Sums over batches; with a count of 0 they are not there.
        self.register_buffer("standing_mean", torch.zeros(channels))
        self.register_buffer("standing_variance", torch.zeros(channels))
        self.register_buffer("standing_batches", torch.zeros((), dtype=torch.int64))
        self.is_accumulating = False

    def forward(self, features: Tensor) -> Tensor:
        if self.is_accumulating:
            return self._accumulate(features)
        if self.training and self.across_ranks and ranks() > 1:
            return self._normalize_across_ranks(features)
        if self.training:
            mean, variance = self.running_mean, self.running_variance  # moved by the call below
        elif self.always_batch_statistics:
            return batch_norm(features, None, None, self.gain, self.bias, training=True, eps=self.eps)
        else:
            mean, variance = self.evaluation_statistics()
        return batch_norm(
            features, mean, variance, self.gain, self.bias, training=self.training, momentum=self.momentum, eps=self.eps
        )

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

    def _normalize_across_ranks(self, features: Tensor) -> Tensor:
        mean, variance, count = batch_moments(features, across_ranks=True)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_variance.lerp_(unbiased.to(self.running_variance), self.momentum)
        scale = (variance + self.eps).rsqrt()
        shift = -mean * scale
        if self.gain is not None and self.bias is not None:
            scale, shift = scale * self.gain, shift * self.gain + self.bias
        normalized = torch.addcmul(
            _per_channel(shift, features), full_precision(features), _per_channel(scale, features)
        )
        return normalized.to(features.dtype)

    def _accumulate(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            mean, variance, _ = batch_moments(features, across_ranks=False)
            self.standing_mean += mean.to(self.standing_mean)
            self.standing_variance += variance.to(self.standing_variance)
            self.standing_batches += 1
        return batch_norm(features, None, None, self.gain, self.bias, training=True, eps=self.eps)


def batch_norms_of(network: nn.Module) -> list[BatchNorm]:
    """Every batch normalization of a network, those within conditional ones too."""
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


class ConditionalBatchNorm(nn.Module):
    """Batch normalization whose gain and bias are linear in a condition vector, ``1 + Ac`` and ``Bc`` (BigGAN).

    Args:
        channels: of the features, `batch channels ...`.
        condition_dim: size of the condition, `batch condition_dim`.
        eps: see `BatchNorm`.
        momentum: see `BatchNorm`.
        across_ranks: see `BatchNorm`.
        always_batch_statistics: see `BatchNorm`.
    """

    def __init__(
        self,
        channels: int,
        *,
        condition_dim: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        across_ranks: bool = False,
        always_batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.normalization = BatchNorm(
            channels,
            eps=eps,
            momentum=momentum,
            affine=False,
            across_ranks=across_ranks,
            always_batch_statistics=always_batch_statistics,
        )
        # Two layers and not one, because spectral normalization divides each by its own norm.
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.bias = nn.Linear(condition_dim, channels, bias=False)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return _modulated(self.normalization(features), gain=1 + self.gain(condition), bias=self.bias(condition))


class ClassConditionalBatchNorm(nn.Module):
    """Batch normalization with a gain and a bias per class: SNGAN, WGAN-GP, SAGAN, and BigGAN without shared embedding.

    The gain is 1 plus a row of the table `gain`, the bias is a row of the table `bias`. Both tables are
    `classes channels` and start at 0. Spectral normalization leaves them alone.

    Args:
        channels: of the features, `batch channels ...`.
        number_of_classes: rows of the tables.
        eps: see `BatchNorm`.
        momentum: see `BatchNorm`.
        across_ranks: see `BatchNorm`.
        always_batch_statistics: see `BatchNorm`.
    """

    def __init__(
        self,
        channels: int,
        *,
        number_of_classes: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        across_ranks: bool = False,
        always_batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.normalization = BatchNorm(
            channels,
            eps=eps,
            momentum=momentum,
            affine=False,
            across_ranks=across_ranks,
            always_batch_statistics=always_batch_statistics,
        )
        self.gain = nn.Parameter(torch.zeros(number_of_classes, channels))
        self.bias = nn.Parameter(torch.zeros(number_of_classes, channels))

    def forward(self, features: Tensor, labels: Labels) -> Tensor:
        """Labels are class indices or multi-hot rows, whose classes add up."""
        gain, bias = rows_of(self.gain, labels), rows_of(self.bias, labels)
        return _modulated(self.normalization(features), gain=1 + gain, bias=bias)


def rows_of(table: Tensor, labels: Labels) -> Tensor:
    """A row of a table `classes width` for each label: the class's own, or the sum over a multi-hot row's classes."""
    return embedding(labels, table) if labels.dim() == 1 else labels.to(table.dtype) @ table


def _modulated(normalized: Tensor, *, gain: Tensor, bias: Tensor) -> Tensor:
    """Gain and bias, `batch channels`, on features of the same dtype as before."""
    gain, bias = gain.to(normalized.dtype), bias.to(normalized.dtype)
    return torch.addcmul(_per_channel(bias, normalized), normalized, _per_channel(gain, normalized))
