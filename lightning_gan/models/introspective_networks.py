"""The encoder and the decoder of IntroVAE (arXiv:1807.06358) and Soft-IntroVAE (arXiv:2012.13253), as in their code.

Both papers have one residual block per resolution; the blocks differ in the position of the second batch normalization.
The authors' networks take and give images in [0, 1]. Ours take and give images in [-1, 1]: the encoder converts its
input, and the decoder its output.
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

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.gaussian_code import GaussianCode
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.layers.resampling_convolutions import UpsampledConv2d
from lightning_gan.tensors import across_ranks
from lightning_gan.tensors.shapes import Images, Latents, PerSample, Scalar

SLOPE = 0.2
"""Slope of the leaky ReLUs for negative values."""


def mean_over_ranks(values: PerSample) -> Scalar:
    """The mean over the batches of all ranks, which must have the same size; without gradient."""
    return across_ranks.mean_over_ranks(values.detach().mean())


class ResidualSum(ABC):
    """How a residual block adds its branch and its shortcut, and whether it normalizes before or after the sum."""

    @abstractmethod
    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        """The input of the block's last leaky ReLU, `batch channels height width`.

        Args:
            norm: The block's second batch normalization.
            branch: Output of the block's second convolution, `batch channels height width`.
            shortcut: Output of the block's shortcut, `batch channels height width`.
        """


@final
@dataclass(frozen=True)
class NormalizedSum(ResidualSum):
    """``norm(branch + shortcut)``, as in IntroVAE."""

    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        total: Tensor = norm(branch + shortcut)
        return total


@final
@dataclass(frozen=True)
class NormalizedBranch(ResidualSum):
    """``norm(branch) + shortcut``, as in Soft-IntroVAE."""

    def __call__(self, norm: BatchNorm, *, branch: Tensor, shortcut: Tensor) -> Tensor:
        total: Tensor = norm(branch) + shortcut
        return total


class LearnedShortcuts(ABC):
    """Decides which residual blocks between two resolutions have a 1x1 convolution in their shortcut."""

    @abstractmethod
    def is_learned(self, before: int, after: int) -> bool:
        """Whether a block that takes `before` feature maps and gives `after` has a 1x1 convolution in its shortcut."""


@final
@dataclass(frozen=True)
class WhereWidthsChange(LearnedShortcuts):
    """A block has a 1x1 convolution in its shortcut if, and only if, its number of feature maps changes."""

    def is_learned(self, before: int, after: int) -> bool:
        """Whether the two numbers of feature maps differ."""
        return before != after


@final
@dataclass(frozen=True)
class AsIntroVAEWasRun(LearnedShortcuts):
    """As `WhereWidthsChange`, and also where both numbers are equal and above 256.

    Use it for weights that IntroVAE's own code has trained. That code compares the two integers by identity (`is not`)
    instead of by value. Python has one object for each integer up to 256, but makes a new one for each larger number
    that is read from the command line. A block within one entry of the list of channels (the encoder's last, the
    decoder's first and last) compares an object with itself and has no such convolution.
    """

    def is_learned(self, before: int, after: int) -> bool:
        """Whether the two numbers of feature maps differ, or are above 256."""
        return before != after or after > 256


class ResidualBlock(nn.Module):
    """A residual block of two 3x3 convolutions, two batch normalizations, and two leaky ReLUs.

    The branch is a convolution, a batch normalization, a leaky ReLU and a convolution. `residual_sum` adds the shortcut
    and normalizes; the second leaky ReLU follows.

    The other arguments are described in `Encoder`.

    Args:
        in_channels: Number of feature maps of the input.
        out_channels: Number of feature maps of the output.
        learned_shortcut: True makes the shortcut a 1x1 convolution, False the identity.
        upsamples: True is the block of the input upsampled by 2, nearest-neighbour. The upsampling is computed with the
            first convolution and after the shortcut, with the same result.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        residual_sum: ResidualSum,
        learned_shortcut: bool,
        batch_norm_across_ranks: bool,
        upsamples: bool = False,
    ) -> None:
        super().__init__()
        self.residual_sum = residual_sum
        self.upsamples = upsamples
        self.shortcut = (
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False) if learned_shortcut else nn.Identity()
        )
        self.conv1 = (
            UpsampledConv2d(in_channels, out_channels, bias=False)
            if upsamples
            else nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        )
        self.norm1 = BatchNorm(out_channels, across_ranks=batch_norm_across_ranks)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = BatchNorm(out_channels, across_ranks=batch_norm_across_ranks)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels height width`, or twice the height and width."""
        branch = self.conv2(leaky_relu(self.norm1(self.conv1(features)), SLOPE, inplace=True))
        shortcut = self.shortcut(features)
        shortcut = nearest_upsample(shortcut, factor=2) if self.upsamples else shortcut
        total = self.residual_sum(self.norm2, branch=branch, shortcut=shortcut)
        return leaky_relu(total, SLOPE, inplace=True)


def channels_or_authors(
    channels: Sequence[int] | None, authors: Mapping[int, Sequence[int]], *, image_size: int
) -> Sequence[int]:
    """The numbers of feature maps that are given, or else those of the authors for this size.

    Args:
        channels: The numbers of feature maps to use. None takes those of the authors.
        authors: The authors' numbers of feature maps, by the height and width of the images in pixels.
        image_size: Height and width of the images in pixels.

    Raises:
        ValueError: if `channels` is None and the authors have no networks for this size.
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
    """Height and width of the last features in pixels: the images' size, halved once for every entry of `channels`.

    Raises:
        ValueError: if this is not a whole number, if `channels` is empty, or if an entry is below 1.
    """
    factor: int = 2 ** len(channels)
    if not channels or min(channels) < 1 or image_size % factor:
        raise ValueError(
            f"channels={list(channels)} do not fit image_size={image_size}: give a positive number of feature maps for "
            "each halving of the size, and no more of them than the size can be halved without remainder"
        )
    return image_size // factor


class Encoder(nn.Module):
    """Maps images in [-1, 1] to the means and the logarithms of the variances of their codes.

    Args:
        image_size: Height and width of the images in pixels.
        image_channels: Number of channels of the images.
        latent_dim: Size of a code.
        channels: Numbers of feature maps at the images' size, and after every halving except the last.
        residual_sum: Decides whether the second batch normalization of a block comes before or after the sum of branch
            and shortcut.
        learned_shortcuts: Decides which blocks have a 1x1 convolution in their shortcut.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

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
        """Images in [-1, 1] to mean and logarithm of the variance, each `batch latent_dim`."""
        features: Tensor = leaky_relu(self.norm(self.input((images + 1) / 2)), SLOPE, inplace=True)
        for block in self.blocks:
            features = block(box_downsample(features, factor=2))
        mean, log_variance = self.code(features.flatten(1))
        return mean, log_variance


class Decoder(nn.Module):
    """Maps codes to images in about [-1, 1].

    As in the authors' code there is no activation at the end, so that values outside of [-1, 1] are possible.

    The arguments are described in `Encoder`.

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
            is_learned = learned_shortcuts.is_learned(before, after)
            self.blocks.append(block(before, after, learned_shortcut=is_learned, upsamples=True))
        self.blocks.append(block(channels[0], channels[0], learned_shortcut=False, upsamples=True))
        self.output = nn.Conv2d(channels[0], image_channels, kernel_size=5, padding=2)

    def forward(self, codes: Latents) -> Images:
        """`batch latent_dim` to images in about [-1, 1]."""
        features: Tensor = rearrange(
            relu(self.input(codes)), "batch (c h w) -> batch c h w", h=self.bottom, w=self.bottom
        )
        for block in self.blocks:
            features = block(features)
        images: Tensor = 2 * self.output(features) - 1
        return images
