"""The networks of R3GAN (Huang et al. 2024, arXiv:2501.05441), whose layers are those of the authors' code."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from lightning_gan.layers.binomial_filter import BinomialFilter, BinomialUpsampling
from lightning_gan.layers.labels import label_vectors
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

EXPANSION = 2
"""How many times as many feature maps the inside of a residual block has."""
LAYERS_PER_BRANCH = 3
"""Convolutions in the branch of a residual block; the rule of the initial weights depends on it."""


def default_widths(image_size: int, *, widest: int) -> list[int]:
    """Numbers of feature maps from 4x4 to this size by the authors' rule: halved with every doubling after 32x32.

    Args:
        image_size: Height and width of the images in pixels, 4 times a power of two.
        widest: Number of feature maps up to 32x32; 768 in the paper.

    Raises:
        ValueError: for another size.

    Example:
        >>> default_widths(64, widest=768)
        [768, 768, 768, 768, 384]
    """
    if image_size < 8 or not math.log2(image_size).is_integer():
        raise ValueError(f"image_size={image_size} must be a power of two, and 8 at least")
    return widths_of_stages(round(math.log2(image_size)) - 1, widest=widest)


def widths_of_stages(stages: int, *, widest: int) -> list[int]:
    """Numbers of feature maps by the authors' rule, for this many resolutions from the first block, as if it were 4x4.

    Args:
        stages: Number of resolutions; each is twice the one before.
        widest: Number of feature maps up to 32x32; 768 in the paper.
    """
    return [max(widest * 32 // max(4 * 2**stage, 32), 1) for stage in range(stages)]


def branch_gain(blocks: int) -> float:
    """Fixup's factor on the initial weights of a branch, ``L^(-1/(2m - 2))`` (Zhang et al. 2019, arXiv:1901.09321).

    L is the number of residual blocks of the network, and m = 3 the number of convolutions in a branch.

    Example:
        >>> branch_gain(16)
        0.5
    """
    return float(blocks ** (-1 / (2 * LAYERS_PER_BRANCH - 2)))


def start_normally(weight: Tensor, *, gain: float = 1.0) -> None:
    """Overwrites a weight, `out in ...`, with normal numbers of the deviation ``gain / sqrt(fan_in)``."""
    nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()))


class Convolution(nn.Conv2d):
    """A convolution that keeps the size, and computes in the precision of its features.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        kernel_size: Height and width of the kernel in pixels, an odd number.
        groups: Number of groups of channels that do not mix.
        bias: True adds a bias, which begins at 0.
        gain: The initial weights have the standard deviation ``gain / sqrt(fan_in)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        groups: int = 1,
        bias: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=kernel_size, padding=kernel_size // 2, groups=groups, bias=bias
        )
        start_normally(self.weight, gain=gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels height width`."""
        weight, bias = self.weight.to(features.dtype), None if self.bias is None else self.bias.to(features.dtype)
        return conv2d(features, weight, bias, padding=self.padding, groups=self.groups)


class ResidualBlock(nn.Module):
    """``x + branch(x)``; the branch is a 1x1 convolution to twice the channels, a grouped 3x3 and a 1x1 back.

    Leaky ReLUs of slope 0.2 are between the convolutions. The last one begins at 0, so that the block is the identity.

    Args:
        channels: Number of channels of the input and of the output.
        group_width: Number of channels of every group of the 3x3 convolution.
        blocks: Number of residual blocks of the whole network, which scales the initial weights.
    """

    def __init__(self, channels: int, *, group_width: int, blocks: int) -> None:
        super().__init__()
        inside = EXPANSION * channels
        gain = nn.init.calculate_gain("leaky_relu", 0.2) * branch_gain(blocks)
        self.conv1 = Convolution(channels, inside, bias=True, gain=gain)
        self.conv2 = Convolution(inside, inside, kernel_size=3, groups=inside // group_width, bias=True, gain=gain)
        self.conv3 = Convolution(inside, channels, gain=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch channels height width`."""
        inside = leaky_relu(self.conv1(features), 0.2, inplace=True)
        inside = leaky_relu(self.conv2(inside), 0.2, inplace=True)
        branch: Tensor = self.conv3(inside)
        return features + branch


class Upsampling(nn.Module):
    """A 1x1 convolution where the number of channels changes, then upsampling by 2 with a filter.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Identity() if in_channels == out_channels else Convolution(in_channels, out_channels)
        self.resampling = BinomialUpsampling()

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (2 height) (2 width)`."""
        upsampled: Tensor = self.resampling(self.conv(features))
        return upsampled


class Downsampling(nn.Module):
    """Downsampling by 2 with a filter, then a 1x1 convolution where the number of channels changes.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.resampling = BinomialFilter(padding=1, stride=2)
        self.conv = nn.Identity() if in_channels == out_channels else Convolution(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels (2 height) (2 width) -> batch out_channels height width`."""
        downsampled: Tensor = self.conv(self.resampling(features))
        return downsampled


class GenerativeBasis(nn.Module):
    """Maps vectors to the first features: a learned pattern per channel, multiplied by a linear function of the vector.

    Args:
        inputs: Size of a vector.
        channels: Number of channels of the features.
        first: Height and width of the features in pixels; 4x4 in the paper.
    """

    def __init__(self, inputs: int, channels: int, *, first: tuple[int, int]) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, *first))
        self.linear = nn.Linear(inputs, channels, bias=False)
        start_normally(self.linear.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        """`batch inputs -> batch channels height width`, in fp32."""
        return self.basis * full_precision(self.linear(vectors))[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    """Maps the last features to vectors: inner products with a learned pattern per channel, then a linear function.

    Args:
        channels: Number of channels of the features.
        outputs: Size of a vector.
        first: Height and width of the features in pixels, those of the generator's first; 4x4 in the paper.
    """

    def __init__(self, channels: int, outputs: int, *, first: tuple[int, int]) -> None:
        super().__init__()
        # Divided by the root of the number of pixels, so that the inner products begin with a variance of 1.
        self.basis = nn.Parameter(torch.randn(channels, *first) / math.sqrt(first[0] * first[1]))
        self.linear = nn.Linear(channels, outputs, bias=False)
        start_normally(self.linear.weight)

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch outputs`, in fp32."""
        vectors: Tensor = self.linear((full_precision(features) * self.basis).sum(dim=(2, 3)))
        return full_precision(vectors)


def residual_blocks(
    channels: int, *, stage: int, blocks: Sequence[int], group_widths: Sequence[int]
) -> list[ResidualBlock]:
    """The residual blocks of one stage.

    Args:
        channels: Number of channels at this stage.
        stage: Number of the stage, from 0 at the first features.
        blocks: Numbers of residual blocks of all stages.
        group_widths: Numbers of channels of every group of a 3x3 convolution, of all stages.
    """
    return [ResidualBlock(channels, group_width=group_widths[stage], blocks=sum(blocks)) for _ in range(blocks[stage])]


class Generator(nn.Module):
    """Maps latents, concatenated with embeddings of labels, to images. The arguments are described in `R3GAN`.

    Args:
        widths: Numbers of feature maps from the first features to the images' size.
        blocks: Numbers of residual blocks from the first features to the images' size.
        group_widths: Numbers of channels of every group of a 3x3 convolution, from the first features to the images'
            size.
        first: Height and width of the first features in pixels.
    """

    def __init__(
        self,
        *,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        label_dim: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        group_widths: Sequence[int],
        bf16_stages: int,
        first: tuple[int, int] = (4, 4),
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.bf16_stages = bf16_stages
        self.label_embedding: nn.Linear | None = None
        inputs = latent_dim
        if number_of_classes:
            self.label_embedding = nn.Linear(number_of_classes, label_dim, bias=False)
            start_normally(self.label_embedding.weight)
            inputs += label_dim
        self.stages = nn.ModuleList()
        for stage, width in enumerate(widths):
            start = Upsampling(widths[stage - 1], width) if stage else GenerativeBasis(inputs, width, first=first)
            within = residual_blocks(width, stage=stage, blocks=blocks, group_widths=group_widths)
            self.stages.append(nn.Sequential(start, *within))
        self.output = Convolution(widths[-1], image_channels)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in about [-1, 1]."""
        features: Tensor = latents
        if self.label_embedding is not None:
            assert labels is not None
            chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
            features = torch.cat([latents, self.label_embedding(chosen)], dim=1)
        for index, stage in enumerate(self.stages):
            if index >= len(self.stages) - self.bf16_stages:
                features = features.bfloat16()
            features = stage(features)
        images: Tensor = self.output(full_precision(features))
        return images


class Discriminator(nn.Module):
    """Maps images to one logit: the mirror image of the generator. The arguments are described in `R3GAN`.

    With classes the last layer gives a vector, and the logit is its inner product with the embedding of the label.

    Args:
        widths: Numbers of feature maps from the first features to the images' size.
        blocks: Numbers of residual blocks from the first features to the images' size.
        group_widths: Numbers of channels of every group of a 3x3 convolution, from the first features to the images'
            size.
        first: Height and width of the first features in pixels.
    """

    def __init__(
        self,
        *,
        image_channels: int,
        number_of_classes: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        group_widths: Sequence[int],
        bf16_stages: int,
        first: tuple[int, int] = (4, 4),
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.bf16_stages = bf16_stages
        self.input = Convolution(image_channels, widths[-1])
        self.stages = nn.ModuleList()
        for stage, width in reversed(list(enumerate(widths))):
            within = residual_blocks(width, stage=stage, blocks=blocks, group_widths=group_widths)
            outputs = width if number_of_classes else 1
            last = Downsampling(width, widths[stage - 1]) if stage else DiscriminativeBasis(width, outputs, first=first)
            self.stages.append(nn.Sequential(*within, last))
        self.label_embedding: nn.Linear | None = None
        if number_of_classes:
            self.label_embedding = nn.Linear(number_of_classes, widths[0], bias=False)
            start_normally(self.label_embedding.weight, gain=1 / math.sqrt(widths[0]))

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in about [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features: Tensor = self.input(images)
        for index, stage in enumerate(self.stages):
            features = stage(features.bfloat16() if index < self.bf16_stages else full_precision(features))
        if self.label_embedding is None:
            return features
        assert labels is not None
        chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
        return (features * full_precision(self.label_embedding(chosen))).sum(dim=1, keepdim=True)
