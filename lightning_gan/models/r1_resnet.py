"""The residual networks of "Which Training Methods for GANs do actually Converge?", the paper of the R1 penalty.

Mescheder et al. 2018, arXiv:1801.04406, appendix; the layers are those of the authors' code, `GAN_stability`.

The networks have no normalization: with R1 they converge up to 1024x1024 without progressive growing. Residual branches
are multiplied by 0.1. The generator gets the label's embedding, divided by its norm, concatenated to the latent. The
discriminator computes one logit per class and returns that of the label. Without classes the networks have one class,
whose embedding is learned like a bias, as in the authors' code.

The authors add uniform noise of width 1/128 to real images: `dequantization_noise` of the data modules.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, leaky_relu

from lightning_gan.layers.labels import label_vectors
from lightning_gan.layers.projection import ClassEmbedding
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.layers.resampling_convolutions import UpsampledConv2d
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The numbers of feature maps after every residual block of both networks.

    Attributes:
        lowest_resolution: Resolution in pixels at which the generator begins and the discriminator ends.
        first: Number of feature maps with which the generator begins.
        generator: One list for each resolution, from the lowest, with the feature maps after each block of the
            generator. An empty list is a resolution without blocks.
        discriminator: One list for each resolution, from that of the images, with the feature maps after each block of
            the discriminator.
    """

    lowest_resolution: int
    first: int
    generator: list[list[int]]
    discriminator: list[list[int]]


class Architecture(ABC):
    """Decides which residual blocks the networks have. There is one subclass for each file of the authors' code."""

    image_kernel_size: ClassVar[int] = 3
    """Height and width in pixels of the kernels of the convolutions that take or give images."""
    normalizes_labels: ClassVar[bool] = True
    """Whether the embedding of a label is divided by its norm."""
    stages: ClassVar[int]
    """Number of resolutions, for architectures in which it is fixed."""

    @abstractmethod
    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """The blocks of both networks for images of this size.

        Args:
            image_size: Height and width of the images in pixels.
            width: Number of feature maps at the images' size.
            width_max: Largest number of feature maps. Only `ResNet` uses it.

        Raises:
            ValueError: for a size that the architecture cannot halve often enough, and a width above `width_max`.
        """

    def lowest_resolution(self, image_size: int) -> int:
        """The resolution in pixels after all halvings, ``image_size / 2^(stages - 1)``.

        Raises:
            ValueError: if this is not a whole number.
        """
        factor: int = 2 ** (self.stages - 1)
        if image_size % factor:
            raise ValueError(
                f"image_size={image_size} must be a multiple of {factor} for {type(self).__name__}, which halves "
                f"images {self.stages - 1} times; ResNet takes every power of two from 8"
            )
        return image_size // factor


@final
@dataclass(frozen=True)
class ResNet(Architecture):
    """One block per resolution from 4x4, for powers of two from 8 (the authors' `resnet`, for CelebA-HQ at 1024x1024).

    Every halving doubles the feature maps, up to `width_max`.
    """

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """One block for each resolution from 4x4 to the images' size."""
        if image_size < 8 or not math.log2(image_size).is_integer():
            raise ValueError(f"image_size={image_size} must be a power of two, and 8 at least")
        if width > width_max:
            raise ValueError(f"width={width} must not be above width_max={width_max}")
        stages = round(math.log2(image_size)) - 1
        widths = [min(width * 2**stage, width_max) for stage in range(stages)]
        return Blocks(
            lowest_resolution=4,
            first=widths[-1],
            generator=[[features] for features in [*widths[-2::-1], widths[0]]],
            discriminator=[[features] for features in widths],
        )


@final
@dataclass(frozen=True)
class ResNet2(Architecture):
    """Two blocks at each of six resolutions (the authors' `resnet2`, for ImageNet at 128x128)."""

    stages: ClassVar[int] = 6

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """Two blocks for each of the six resolutions; `width_max` is not used."""
        down = [(1, 2), (2, 4), (4, 8), (8, 16), (16, 16), (16, 16)]
        up = [(16, 16), (16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
        return Blocks(
            lowest_resolution=self.lowest_resolution(image_size),
            first=16 * width,
            generator=[[width * factor for factor in factors] for factors in up],
            discriminator=[[width * factor for factor in factors] for factors in down],
        )


@final
@dataclass(frozen=True)
class ResNet3(Architecture):
    """A block at each of seven resolutions except the highest (the authors' `resnet3`, for LSUN at 256x256).

    The convolutions that take or give images are 7x7.
    """

    image_kernel_size: ClassVar[int] = 7
    normalizes_labels: ClassVar[bool] = False
    stages: ClassVar[int] = 7

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """One block for each of the six lower resolutions; `width_max` is not used."""
        return Blocks(
            lowest_resolution=self.lowest_resolution(image_size),
            first=32 * width,
            generator=[*([width * factor] for factor in (16, 16, 8, 4, 2, 1)), []],
            discriminator=[[], *([width * factor] for factor in (2, 4, 8, 16, 16, 32))],
        )


@final
@dataclass(frozen=True)
class ResNet4(Architecture):
    """A block at each of seven resolutions (the authors' `resnet4`, for CelebA at 256x256).

    The convolutions that take or give images are 7x7.
    """

    image_kernel_size: ClassVar[int] = 7
    normalizes_labels: ClassVar[bool] = False
    stages: ClassVar[int] = 7

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """One block for each of the seven resolutions; `width_max` is not used."""
        return Blocks(
            lowest_resolution=self.lowest_resolution(image_size),
            first=16 * width,
            generator=[[width * factor] for factor in (16, 16, 8, 4, 2, 1, 1)],
            discriminator=[[width * factor] for factor in (1, 2, 4, 8, 16, 16, 16)],
        )


class ResidualBlock(nn.Module):
    """``shortcut(x) + 0.1 * branch(x)``; the branch is a leaky ReLU and a 3x3 convolution, twice.

    The shortcut is a 1x1 convolution if the numbers of channels differ, and the identity otherwise.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        upsamples: True is the block of the input upsampled by 2, nearest-neighbour. The upsampling is computed with the
            first convolution and after the shortcut, with the same result.
    """

    def __init__(self, *, in_channels: int, out_channels: int, upsamples: bool = False) -> None:
        super().__init__()
        self.upsamples = upsamples
        hidden = min(in_channels, out_channels)
        self.conv0 = (
            UpsampledConv2d(in_channels, hidden)
            if upsamples
            else nn.Conv2d(in_channels, hidden, kernel_size=3, padding=1)
        )
        self.conv1 = nn.Conv2d(hidden, out_channels, kernel_size=3, padding=1)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels height width`, or twice the height and width."""
        branch = self.conv1(leaky_relu(self.conv0(leaky_relu(features, 0.2)), 0.2, inplace=True))
        shortcut: Tensor = self.shortcut(features)
        shortcut = nearest_upsample(shortcut, factor=2) if self.upsamples else shortcut
        return torch.add(shortcut, branch, alpha=0.1)


def stages_of(widths: Sequence[Sequence[int]], *, first: int, upsamples: bool) -> tuple[nn.ModuleList, int]:
    """The residual blocks of every resolution, and the number of feature maps after the last one.

    Args:
        widths: One list for each resolution, with the feature maps after each of its blocks.
        first: Number of feature maps that the first block gets.
        upsamples: True doubles the resolution at the beginning of every stage but the first; False keeps it.
    """
    stages, channels = nn.ModuleList(), first
    for index, of_stage in enumerate(widths):
        blocks = nn.Sequential()
        if upsamples and index and not of_stage:
            blocks.append(nn.Upsample(scale_factor=2))
        for number, features in enumerate(of_stage):
            doubles = upsamples and index > 0 and number == 0
            blocks.append(ResidualBlock(in_channels=channels, out_channels=features, upsamples=doubles))
            channels = features
        stages.append(blocks)
    return stages, channels


class Generator(nn.Module):
    """Maps latents, concatenated with the embeddings of labels, to images, with nearest-neighbour upsampling.

    The arguments are described in `R1ResNet`.

    Raises:
        ValueError: for a size that the architecture cannot halve often enough, and a width above `width_max`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        label_dim: int,
        width: int,
        width_max: int,
        architecture: Architecture,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.normalizes_labels = architecture.normalizes_labels
        blocks = architecture.blocks(image_size=image_size, width=width, width_max=width_max)
        self.lowest_resolution = blocks.lowest_resolution
        self.label_embedding = ClassEmbedding(max(number_of_classes, 1), label_dim)
        self.input = nn.Linear(latent_dim + label_dim, blocks.first * blocks.lowest_resolution**2)
        self.stages, features = stages_of(blocks.generator, first=blocks.first, upsamples=True)
        kernel = architecture.image_kernel_size
        self.output = nn.Conv2d(features, image_channels, kernel_size=kernel, padding=kernel // 2)

    def embedded(self, latents: Latents, labels: Labels | None) -> Tensor:
        """The embeddings of the labels, `batch label_dim`, divided by their norms if the architecture says so."""
        if not self.number_of_classes:
            # The shape and not `len`, which would fix the batch size of an exported graph.
            labels = torch.zeros(latents.shape[0], dtype=torch.int64, device=latents.device)
        assert labels is not None
        embedded: Tensor = self.label_embedding(labels)
        return embedded / embedded.norm(dim=1, keepdim=True) if self.normalizes_labels else embedded

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        features = self.input(torch.cat([latents, self.embedded(latents, labels)], dim=1))
        features = features.unflatten(1, (-1, self.lowest_resolution, self.lowest_resolution))
        for stage in self.stages:
            features = stage(features)
        images: Tensor = self.output(leaky_relu(features, 0.2)).tanh()
        return images


class Critic(nn.Module):
    """What this discriminator shares with VGAN's: it maps images to features, and selects the logit of the label.

    Between resolutions are 3x3 averages of stride 2. A subclass adds the layers from the features to the logits.

    The other arguments are described in `R1ResNet`.

    Args:
        blocks: The numbers of feature maps after every residual block.
        kernel_size: Height and width in pixels of the kernel of the convolution that takes the images.
    """

    def __init__(
        self, *, blocks: Blocks, kernel_size: int, image_channels: int, number_of_classes: int, width: int
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.input = nn.Conv2d(image_channels, width, kernel_size=kernel_size, padding=kernel_size // 2)
        self.stages, self.channels = stages_of(blocks.discriminator, first=width, upsamples=False)

    def features(self, images: Images) -> Tensor:
        """Features `batch channels height width` at the lowest resolution, before an activation."""
        features: Tensor = self.input(images)
        for index, stage in enumerate(self.stages):
            # The averages include the zeros of the padding, as in the authors' code.
            features = stage(avg_pool2d(features, kernel_size=3, stride=2, padding=1) if index else features)
        return features

    def of_labels(self, logits: Tensor, labels: Labels | None) -> Logits:
        """The logits of the labels, `batch 1`, selected from one logit per class, `batch classes`.

        Args:
            logits: One logit per class, `batch classes`; without classes `batch 1`, which is returned unchanged.
            labels: Class indices or multi-hot rows, whose logits are added up.
        """
        if not self.number_of_classes:
            return logits
        assert labels is not None
        chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
        return (logits * chosen).sum(dim=1, keepdim=True)


class Discriminator(Critic):
    """Maps images to one logit; with classes it is the logit of the image's label.

    The arguments are described in `R1ResNet`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        width: int,
        width_max: int,
        architecture: Architecture,
    ) -> None:
        blocks = architecture.blocks(image_size=image_size, width=width, width_max=width_max)
        super().__init__(
            blocks=blocks,
            kernel_size=architecture.image_kernel_size,
            image_channels=image_channels,
            number_of_classes=number_of_classes,
            width=width,
        )
        self.output = nn.Linear(self.channels * blocks.lowest_resolution**2, max(number_of_classes, 1))

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        return self.of_labels(self.output(leaky_relu(self.features(images), 0.2).flatten(1)), labels)


class R1ResNet(GAN):
    """The R1 paper's residual networks; add the callbacks `R1` and `EMA`.

    The authors train with RMSprop at a learning rate of 0.0001, `R1(gamma=20)` (10 in their code, which has no factor
    1/2), and `EMA` with a half-life of 692 batches (a decay of 0.999).

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8 for `ResNet`, and a multiple of 32
            or 64 for the other architectures.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        label_dim: Size of the embedding of a label; 1 in the authors' settings without classes.
        width: Number of feature maps at the images' size. With `ResNet` it doubles with every halving of the
            resolution, up to `width_max`; the other architectures multiply it by the factors of their tables.
        width_max: Largest number of feature maps at any resolution. Only `ResNet` uses it.
        architecture: Decides which residual blocks the networks have: `ResNet`, `ResNet2`, `ResNet3` or `ResNet4`.

    Raises:
        ValueError: for a size that the architecture cannot halve often enough, and a width above `width_max`.
    """

    gives_same_scores_in_one_pass: ClassVar[bool] = True

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 256,
        label_dim: int = 256,
        width: int = 64,
        width_max: int = 1024,
        architecture: Architecture = ResNet(),
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            label_dim=label_dim,
            width=width,
            width_max=width_max,
        )
        check_at_least(0, number_of_classes=number_of_classes)
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                label_dim=label_dim,
                width=width,
                width_max=width_max,
                architecture=architecture,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                width=width,
                width_max=width_max,
                architecture=architecture,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("architecture"))
