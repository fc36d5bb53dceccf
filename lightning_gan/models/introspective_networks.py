"""The encoder and the decoder of IntroVAE (arXiv:1807.06358) and Soft-IntroVAE (arXiv:2012.13253), as in their codes.

Both papers have one residual block per resolution, which differ in where the second batch norm stands. The authors'
networks take and make images in [0, 1]; ours do so inside, and images in [-1, 1] are converted at their doors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import final

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from lightning_gan.layers.batch_norm import BatchNorm, ranks, sum_over_ranks
from lightning_gan.layers.gaussian_code import GaussianCode
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.tensors.shapes import Images, Latents, PerSample, Scalar

SLOPE = 0.2
"""Of the leaky rectifiers."""


def mean_over_ranks(values: PerSample) -> Scalar:
    """The mean over the batches of all ranks, which have the same size; without gradient."""
    mean = values.detach().mean()
    return sum_over_ranks(mean) / ranks() if ranks() > 1 else mean


class ResidualSum(ABC):
    """How a residual block adds up its branch and its shortcut, and where the batch norm stands in that."""

    @abstractmethod
    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        """What the last leaky rectifier gets, `batch channels height width`."""


@final
@dataclass(frozen=True)
class NormalizedSum(ResidualSum):
    """``norm(branch + shortcut)``: IntroVAE."""

    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        total: Tensor = norm(branch + shortcut)
        return total


@final
@dataclass(frozen=True)
class NormalizedBranch(ResidualSum):
    """``norm(branch) + shortcut``: Soft-IntroVAE."""

    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        total: Tensor = norm(branch) + shortcut
        return total


class LearnedShortcuts(ABC):
    """Which residual blocks between two resolutions have a 1x1 convolution in their shortcut."""

    @abstractmethod
    def is_learned(self, before: int, after: int) -> bool:
        """Whether a block that takes `before` and gives `after` feature maps has one."""


@final
@dataclass(frozen=True)
class WhereWidthsChange(LearnedShortcuts):
    """Where the number of feature maps changes, and nowhere else."""

    def is_learned(self, before: int, after: int) -> bool:
        return before != after


@final
@dataclass(frozen=True)
class AsIntroVAEWasRun(LearnedShortcuts):
    """Also where both numbers are the same and above 256, for weights that IntroVAE's own code has trained.

    That code asks whether the two integers are one object (`is not`). Numbers from the command line are one object
    each, but for those up to 256, which Python keeps. A block within one entry of the list of channels (the encoder's
    last, the decoder's first and last) compares an object with itself.
    """

    def is_learned(self, before: int, after: int) -> bool:
        return before != after or after > 256


class ResidualBlock(nn.Module):
    """Convolution, norm, leaky rectifier, convolution; the shortcut; a norm and a leaky rectifier.

    Arguments that are not listed are as in `Encoder`.

    Args:
        in_channels: feature maps before.
        out_channels: feature maps behind.
        learned_shortcut: whether the shortcut is a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        residual_sum: ResidualSum,
        learned_shortcut: bool,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        self.residual_sum = residual_sum
        self.shortcut = (
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False) if learned_shortcut else nn.Identity()
        )
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm1 = BatchNorm(out_channels, across_ranks=batch_norm_across_ranks)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = BatchNorm(out_channels, across_ranks=batch_norm_across_ranks)

    def forward(self, features: Tensor) -> Tensor:
        branch = self.conv2(leaky_relu(self.norm1(self.conv1(features)), SLOPE))
        total = self.residual_sum(self.norm2, branch=branch, shortcut=self.shortcut(features))
        return leaky_relu(total, SLOPE)


def channels_or_authors(
    channels: Sequence[int] | None, authors: Mapping[int, Sequence[int]], *, image_size: int
) -> Sequence[int]:
    """The feature maps that are asked for, or else the authors' for this size.

    Args:
        channels: what is asked for; None for the authors'.
        authors: theirs, by the images' size.
        image_size: height and width.

    Raises:
        ValueError: if the authors have none.
    """
    if channels is not None:
        return channels
    if image_size not in authors:
        raise ValueError(
            f"image_size={image_size}: the authors have networks for {', '.join(map(str, authors))}; "
            "for another size give channels=[...], the feature maps for each halving"
        )
    return authors[image_size]


def lowest_resolution(image_size: int, channels: Sequence[int]) -> int:
    """Height and width of the last features: the images' size, halved once for every entry of `channels`.

    Raises:
        ValueError: if that is not a whole number, or for no or non-positive channels.
    """
    factor: int = 2 ** len(channels)
    if not channels or min(channels) < 1 or image_size % factor:
        raise ValueError(
            f"channels={list(channels)} do not fit image_size={image_size}: they are a positive number of feature maps "
            "for each halving, of which the size has to allow as many"
        )
    return image_size // factor


class Encoder(nn.Module):
    """Images in [-1, 1] to the mean and the logarithm of the variance of their code.

    Args:
        image_size: height and width.
        image_channels: channels of the images.
        latent_dim: dimensions of the code.
        channels: feature maps at the images' size, and behind every halving but the last.
        residual_sum: where the blocks' second batch norm stands.
        learned_shortcuts: which blocks have a 1x1 convolution in their shortcut.
        batch_norm_across_ranks: take the batch's statistics over all ranks.

    Raises:
        ValueError: for channels that do not fit the size.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        latent_dim: int,
        channels: Sequence[int],
        residual_sum: ResidualSum,
        learned_shortcuts: LearnedShortcuts,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        bottom = lowest_resolution(image_size, channels)
        self.input = nn.Conv2d(image_channels, channels[0], kernel_size=5, padding=2, bias=False)
        self.norm = BatchNorm(channels[0], across_ranks=batch_norm_across_ranks)

        block = partial(ResidualBlock, residual_sum=residual_sum, batch_norm_across_ranks=batch_norm_across_ranks)
        self.blocks = nn.ModuleList(
            block(before, after, learned_shortcut=learned_shortcuts.is_learned(before, after))
            for before, after in pairwise(channels)
        )
        self.blocks.append(block(channels[-1], channels[-1], learned_shortcut=False))
        self.code = GaussianCode(channels[-1] * bottom**2, latent_dim)

    def forward(self, images: Images) -> tuple[Float[Tensor, "batch code"], Float[Tensor, "batch code"]]:
        features: Tensor = leaky_relu(self.norm(self.input((images + 1) / 2)), SLOPE)
        for block in self.blocks:
            features = block(box_downsample(features, factor=2))
        mean, log_variance = self.code(features.flatten(1))
        return mean, log_variance


class Decoder(nn.Module):
    """Codes to images in about [-1, 1]; like the authors' it has no activation at the end, so pixels may overshoot.

    Arguments are as in `Encoder`.

    Raises:
        ValueError: for channels that do not fit the size.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        latent_dim: int,
        channels: Sequence[int],
        residual_sum: ResidualSum,
        learned_shortcuts: LearnedShortcuts,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        self.bottom = lowest_resolution(image_size, channels)
        self.input = nn.Linear(latent_dim, channels[-1] * self.bottom**2)

        block = partial(ResidualBlock, residual_sum=residual_sum, batch_norm_across_ranks=batch_norm_across_ranks)
        self.blocks = nn.ModuleList([block(channels[-1], channels[-1], learned_shortcut=False)])
        for before, after in pairwise(reversed(channels)):
            self.blocks.append(block(before, after, learned_shortcut=learned_shortcuts.is_learned(before, after)))
        self.blocks.append(block(channels[0], channels[0], learned_shortcut=False))
        self.output = nn.Conv2d(channels[0], image_channels, kernel_size=5, padding=2)

    def forward(self, codes: Latents) -> Images:
        features: Tensor = rearrange(
            relu(self.input(codes)), "batch (c h w) -> batch c h w", h=self.bottom, w=self.bottom
        )
        for index, block in enumerate(self.blocks):
            features = block(nearest_upsample(features, factor=2) if index else features)
        images: Tensor = 2 * self.output(features) - 1
        return images
