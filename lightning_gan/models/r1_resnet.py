"""The residual networks of "Which Training Methods for GANs do actually Converge?", the paper of the R1 penalty.

Mescheder et al. 2018, arXiv:1801.04406, appendix; layers as in the authors' code, `GAN_stability`.

No normalization anywhere: R1 alone lets them converge, up to 1024x1024 without growing. Residual branches count a
tenth. The generator sees the label's embedding, divided by its norm, beside the latent; the discriminator has a logit
per class, of which the label picks one. Without classes the authors' code has one class, whose embedding is learned
like a bias, and so has ours.

The authors add uniform noise of width 1/128 to real images; we do not.
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
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The feature maps behind every residual block.

    Attributes:
        lowest_resolution: where the generator begins and the discriminator ends.
        first: feature maps that the generator begins with.
        generator: by resolution, from the lowest; none is a resolution without blocks.
        discriminator: by resolution, from the images'.
    """

    lowest_resolution: int
    first: int
    generator: list[list[int]]
    discriminator: list[list[int]]


class Architecture(ABC):
    """Which residual blocks there are; one for each file of the authors' code."""

    image_kernel_size: ClassVar[int] = 3
    """Of the convolutions to and from images."""
    normalizes_labels: ClassVar[bool] = True
    """Whether the embedding of a label is divided by its norm."""
    stages: ClassVar[int]
    """Resolutions, where the architecture has a fixed number of them."""

    @abstractmethod
    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        """The blocks for images of a size.

        Args:
            image_size: a power of two.
            width: feature maps at the images' size.
            width_max: most feature maps, where the architecture doubles them with every halving.

        Raises:
            ValueError: for a size that the architecture cannot halve, and a width above `width_max`.
        """

    def lowest_resolution(self, image_size: int) -> int:
        """What is left of the size after all halvings.

        Raises:
            ValueError: if that is not a whole number.
        """
        factor: int = 2 ** (self.stages - 1)
        if image_size % factor:
            raise ValueError(
                f"image_size={image_size} must be a multiple of {factor} for {type(self).__name__}, which halves "
                f"images {self.stages - 1} times; ResNet suits every power of two from 8"
            )
        return image_size // factor


@final
@dataclass(frozen=True)
class ResNet(Architecture):
    """One block per resolution, from 4x4: all sizes (the authors' `resnet`, their CelebA-HQ at 1024x1024)."""

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
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
    """Two blocks per resolution, six resolutions (`resnet2`, their ImageNet at 128x128)."""

    stages: ClassVar[int] = 6

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
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
    """A block at each of seven resolutions but the highest, and 7x7 convolutions (`resnet3`, their LSUN at 256x256)."""

    image_kernel_size: ClassVar[int] = 7
    normalizes_labels: ClassVar[bool] = False
    stages: ClassVar[int] = 7

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        return Blocks(
            lowest_resolution=self.lowest_resolution(image_size),
            first=32 * width,
            generator=[*([width * factor] for factor in (16, 16, 8, 4, 2, 1)), []],
            discriminator=[[], *([width * factor] for factor in (2, 4, 8, 16, 16, 32))],
        )


@final
@dataclass(frozen=True)
class ResNet4(Architecture):
    """A block at each of seven resolutions, and 7x7 convolutions (`resnet4`, their CelebA at 256x256)."""

    image_kernel_size: ClassVar[int] = 7
    normalizes_labels: ClassVar[bool] = False
    stages: ClassVar[int] = 7

    def blocks(self, *, image_size: int, width: int, width_max: int) -> Blocks:
        return Blocks(
            lowest_resolution=self.lowest_resolution(image_size),
            first=16 * width,
            generator=[[width * factor] for factor in (16, 16, 8, 4, 2, 1, 1)],
            discriminator=[[width * factor] for factor in (1, 2, 4, 8, 16, 16, 16)],
        )


class ResidualBlock(nn.Module):
    """``shortcut(x) + 0.1 * branch(x)``; the branch is (leaky relu, 3x3 convolution) twice."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = min(in_channels, out_channels)
        self.conv0 = nn.Conv2d(in_channels, hidden, kernel_size=3, padding=1)
        self.conv1 = nn.Conv2d(hidden, out_channels, kernel_size=3, padding=1)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        branch = self.conv1(leaky_relu(self.conv0(leaky_relu(features, 0.2)), 0.2))
        output: Tensor = self.shortcut(features) + 0.1 * branch
        return output


def stages_of(widths: Sequence[Sequence[int]], *, first: int) -> tuple[nn.ModuleList, int]:
    """The blocks of every resolution, one behind the other, and the feature maps behind the last."""
    stages, channels = nn.ModuleList(), first
    for of_stage in widths:
        blocks = nn.Sequential()
        for features in of_stage:
            blocks.append(ResidualBlock(in_channels=channels, out_channels=features))
            channels = features
        stages.append(blocks)
    return stages, channels


class Generator(nn.Module):
    """Latents, and a label's embedding beside them, to images; pixels are doubled between resolutions.

    Args:
        image_size: a power of two from 8.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        label_dim: size of a label's embedding.
        width: feature maps at the images' size.
        width_max: most feature maps.
        architecture: which blocks there are.
    """

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
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.normalizes_labels = architecture.normalizes_labels
        blocks = architecture.blocks(image_size=image_size, width=width, width_max=width_max)
        self.lowest_resolution = blocks.lowest_resolution
        self.label_embedding = ClassEmbedding(max(number_of_classes, 1), label_dim)
        self.input = nn.Linear(latent_dim + label_dim, blocks.first * blocks.lowest_resolution**2)
        self.stages, features = stages_of(blocks.generator, first=blocks.first)
        kernel = architecture.image_kernel_size
        self.output = nn.Conv2d(features, image_channels, kernel_size=kernel, padding=kernel // 2)

    def embedded(self, latents: Latents, labels: Labels | None) -> Tensor:
        """`batch label_dim`."""
        if not self.number_of_classes:
            labels = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
        assert labels is not None
        embedded: Tensor = self.label_embedding(labels)
        return embedded / embedded.norm(dim=1, keepdim=True) if self.normalizes_labels else embedded

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        features = self.input(torch.cat([latents, self.embedded(latents, labels)], dim=1))
        features = features.unflatten(1, (-1, self.lowest_resolution, self.lowest_resolution))
        for index, stage in enumerate(self.stages):
            features = stage(nearest_upsample(features, factor=2) if index else features)
        images: Tensor = self.output(leaky_relu(features, 0.2)).tanh()
        return images


class Critic(nn.Module):
    """What this discriminator shares with VGAN's: images to features, and a logit per class to that of the label.

    3x3 averages of stride 2 between resolutions. A discriminator adds what lies between the two.

    Args:
        blocks: its residual blocks.
        kernel_size: of the convolution from images.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        width: feature maps at the images' size.
    """

    def __init__(
        self, *, blocks: Blocks, kernel_size: int, image_channels: int, number_of_classes: int, width: int
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.input = nn.Conv2d(image_channels, width, kernel_size=kernel_size, padding=kernel_size // 2)
        self.stages, self.channels = stages_of(blocks.discriminator, first=width)

    def features(self, images: Images) -> Tensor:
        """`batch channels height width`, at the lowest resolution, before an activation."""
        features: Tensor = self.input(images)
        for index, stage in enumerate(self.stages):
            # Zeros beyond the border count in the averages, as in the authors' code.
            features = stage(avg_pool2d(features, kernel_size=3, stride=2, padding=1) if index else features)
        return features

    def of_labels(self, logits: Tensor, labels: Labels | None) -> Logits:
        """The labels' logits, `batch 1`, among `batch classes`."""
        if not self.number_of_classes:
            return logits
        assert labels is not None
        chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
        return (logits * chosen).sum(dim=1, keepdim=True)


class Discriminator(Critic):
    """Images to the label's logit; 3x3 averages of stride 2 between resolutions.

    Arguments are as in `R1ResNet`.
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
        """Logits, `batch 1`."""
        return self.of_labels(self.output(leaky_relu(self.features(images), 0.2).flatten(1)), labels)


class R1ResNet(GAN):
    """The R1 paper's networks; add `R1` and `EMA` as callbacks.

    The authors' optimizers are RMSprop with 0.0001, their penalty is `R1(gamma=20)` (10 in their code, which has no
    1/2), their average `EMA` with a half-life of 692 batches (a decay of 0.999).

    Args:
        image_size: a power of two from 8.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        label_dim: size of a label's embedding; 1 in the authors' settings without classes.
        width: feature maps at the images' size; doubled with every halving,
        width_max: but no more than this (by `ResNet`; the others have their own tables).
        architecture: which blocks there are: `ResNet`, `ResNet2`, `ResNet3` or `ResNet4`.

    Raises:
        ValueError: for a size that the architecture cannot halve, and a width above `width_max`.
    """

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
