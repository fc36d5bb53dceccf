"""The residual networks of WGAN-GP, "Improved Training of Wasserstein GANs".

Gulrajani et al. 2017, arXiv:1704.00028, section 5.4 and appendix F; layers as in the authors' code.

These are the networks for CIFAR-10, without normalization in the critic; those for 64x64 are in
`layer_norm_resnet_gan`. They go with the loss `Wasserstein`, which is the default, the callback `GradientPenalty` and
five turns of the critic. With dropout in the critic they are the networks of CT-GAN (Wei et al. 2018,
arXiv:1803.01541).

Batch norm uses the batch's own statistics in sampling too, as the authors' does, so an image depends a little on the
others made with it. Convolutions are fused with the resampling beside them, and 1x1 convolutions come after averaging
and before repeating pixels, which gives the same result in less work. The authors add uniform noise of width 1/128 to
CIFAR images; we do not.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers import box_downsample, nearest_upsample
from lightning_gan.layers.batch_norm import BatchNorm, ClassConditionalBatchNorm
from lightning_gan.layers.growing import doublings
from lightning_gan.layers.resampling_convolutions import downsampled_convolution, upsampled_convolution
from lightning_gan.loop.gan import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

GLOROT, HE = 1.0, math.sqrt(2.0)
"""Factors on ``sqrt(2 / (fan_in + fan_out))``, the standard deviation of uniform weights in the authors' code."""


def widths_or_default(
    widths: Sequence[int] | None, default: Sequence[int], *, setting: str, image_size: int
) -> list[int]:
    """The widths that are asked for, or else the default.

    Raises:
        ValueError: if there are not as many as in the default.
    """
    if widths is None:
        return list(default)
    if len(widths) != len(default):
        raise ValueError(f"{setting}={list(widths)} must be {len(default)} numbers for image_size={image_size}")
    return list(widths)


class Conv2d(nn.Conv2d):
    """A convolution with "same" padding; weights uniform as in the authors' code, biases 0."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, bias: bool = True, gain: float = HE
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        nn.init.xavier_uniform_(self.weight, gain=gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class UpConv2d(Conv2d):
    """Nearest upsampling by 2, then a 3x3 convolution."""

    def forward(self, features: Tensor) -> Tensor:
        return upsampled_convolution(features, self.weight, self.bias)


class DownConv2d(Conv2d):
    """A 3x3 convolution, then averaging 2x2 boxes."""

    def forward(self, features: Tensor) -> Tensor:
        return downsampled_convolution(features, self.weight, self.bias)


class Linear(nn.Linear):
    """A fully connected layer with Glorot's uniform weights and bias 0."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class GeneratorNorm(nn.Module):
    """Batch norm by the statistics of the batch at hand, always; with classes, gain and bias are the label's.

    Arguments that are not listed are as in `ResNetGAN`.

    Args:
        channels: feature maps.
    """

    def __init__(self, channels: int, *, number_of_classes: int) -> None:
        super().__init__()
        self.plain: BatchNorm | None = None
        self.conditional: ClassConditionalBatchNorm | None = None
        if number_of_classes:
            self.conditional = ClassConditionalBatchNorm(
                channels, number_of_classes=number_of_classes, always_batch_statistics=True
            )
        else:
            self.plain = BatchNorm(channels, always_batch_statistics=True)

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        if self.conditional is not None:
            assert labels is not None
            normalized: Tensor = self.conditional(features, labels)
            return normalized
        assert self.plain is not None
        normalized = self.plain(features)
        return normalized


class UpBlock(nn.Module):
    """Twice the resolution: (norm, relu, convolution) twice, beside a 1x1 convolution.

    Arguments that are not listed are as in `Generator`.

    Args:
        in_channels: feature maps before.
        out_channels: feature maps behind.
    """

    def __init__(self, *, in_channels: int, out_channels: int, number_of_classes: int, first_bias: bool) -> None:
        super().__init__()
        self.norm1 = GeneratorNorm(in_channels, number_of_classes=number_of_classes)
        self.conv1 = UpConv2d(in_channels, out_channels, bias=first_bias)
        self.norm2 = GeneratorNorm(out_channels, number_of_classes=number_of_classes)
        self.conv2 = Conv2d(out_channels, out_channels)
        self.shortcut = Conv2d(in_channels, out_channels, kernel_size=1, gain=GLOROT)

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        hidden = self.conv1(relu(self.norm1(features, labels)))
        hidden = self.conv2(relu(self.norm2(hidden, labels)))
        output: Tensor = nearest_upsample(self.shortcut(features), factor=2) + hidden
        return output


class Generator(nn.Module):
    """Latents to images; labels choose the scales and offsets of the blocks' batch norm.

    Arguments that are not listed are as in `ResNetGAN`; `widths` is `generator_widths` there.

    Args:
        first_bias: whether the blocks' first convolutions have a bias, which the second norm takes away again: at
            CIFAR, not at 64x64.
        output_gain: of the last convolution's weights: `GLOROT` at CIFAR, `HE` at 64x64.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        first_bias: bool = True,
        output_gain: float = GLOROT,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.input = Linear(latent_dim, widths[0] * 16)
        self.blocks = nn.ModuleList(
            UpBlock(in_channels=before, out_channels=after, number_of_classes=number_of_classes, first_bias=first_bias)
            for before, after in pairwise(widths)
        )
        self.output_norm = BatchNorm(widths[-1], always_batch_statistics=True)
        self.output = Conv2d(widths[-1], image_channels, gain=output_gain)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        features: Tensor = self.input(latents).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            features = block(features, labels)
        images: Tensor = self.output(relu(self.output_norm(features))).tanh()
        return images


class FirstDownBlock(nn.Module):
    """The critic's entrance: convolution, relu, convolution, averaging ("optimized": no relu on the image)."""

    def __init__(self, *, image_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(image_channels, out_channels)
        self.conv2 = DownConv2d(out_channels, out_channels)
        self.shortcut = Conv2d(image_channels, out_channels, kernel_size=1, gain=GLOROT)

    def forward(self, images: Images) -> Tensor:
        output: Tensor = self.conv2(relu(self.conv1(images))) + self.shortcut(box_downsample(images, factor=2))
        return output


class DownBlock(nn.Module):
    """Half the resolution: (relu, convolution) twice, beside a 1x1 convolution."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, in_channels)
        self.conv2 = DownConv2d(in_channels, out_channels)
        self.shortcut = Conv2d(in_channels, out_channels, kernel_size=1, gain=GLOROT)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.conv2(relu(self.conv1(relu(features))))
        output: Tensor = hidden + self.shortcut(box_downsample(features, factor=2))
        return output


class FlatBlock(nn.Module):
    """(relu, convolution) twice at one resolution, beside the features themselves if their number stays."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, out_channels)
        self.conv2 = Conv2d(out_channels, out_channels)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else Conv2d(in_channels, out_channels, kernel_size=1, gain=GLOROT)
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.shortcut(features) + self.conv2(relu(self.conv1(relu(features))))
        return output


class MeanOverPixels(nn.Module):
    """`batch channels height width -> batch channels`."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3))


class Critic(nn.Module):
    """Images to `batch 1 + classes`: a score, then what an auxiliary classifier thinks.

    Its second-to-last layer is the submodule `features`.

    Arguments that are not listed are as in `ResNetGAN`.

    Args:
        features: images to `batch feature_count`.
        feature_count: how many there are.
    """

    def __init__(self, *, features: nn.Sequential, feature_count: int, number_of_classes: int) -> None:
        super().__init__()
        self.features = features
        self.to_score = Linear(feature_count, 1)
        self.to_classes = Linear(feature_count, number_of_classes) if number_of_classes else None

    def forward(self, images: Images) -> Logits:
        features = self.features(images)
        score: Tensor = self.to_score(features)
        return score if self.to_classes is None else torch.cat([score, self.to_classes(features)], dim=1)


def plain_critic(
    *, widths: Sequence[int], image_channels: int, number_of_classes: int, dropout: Sequence[float]
) -> Critic:
    """CIFAR's critic: blocks that halve the image, two that do not, and the mean over pixels; no normalization.

    Arguments are as in `ResNetGAN`, without the prefix "discriminator_".
    """
    blocks: list[nn.Module] = [FirstDownBlock(image_channels=image_channels, out_channels=widths[0])]
    for before, after in pairwise(widths[:-2]):
        blocks.append(DownBlock(in_channels=before, out_channels=after))
    for before, after in pairwise(widths[-3:]):
        blocks.append(FlatBlock(in_channels=before, out_channels=after))
    probabilities = [0.0] * (len(blocks) - len(dropout)) + list(dropout)
    features: list[nn.Module] = []
    for block, probability in zip(blocks, probabilities, strict=True):
        features += [block, nn.Dropout(probability)] if probability else [block]
    return Critic(
        features=nn.Sequential(*features, nn.ReLU(), MeanOverPixels()),
        feature_count=widths[-1],
        number_of_classes=number_of_classes,
    )


class ResNetGAN(AuxiliaryClassifierGAN):
    """WGAN-GP's networks for CIFAR-10, at any size; add `GradientPenalty` as a callback.

    Its own loss is `Wasserstein`. With classes the generator has conditional batch norm and the critic an auxiliary
    classifier, with the authors' weights. Their optimizers are Adam with 0.0002 and betas (0, 0.9), falling linearly to
    0 within 100,000 turns of the generator, which makes twice as many images as the critic gets
    (`Training.generator_batch_multiple`), of classes drawn uniformly.

    Args:
        image_size: a power of two from 8; the paper has 32.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        generator_widths: feature maps at 4x4, 8x8 ... `image_size`; None is 128 everywhere.
        discriminator_widths: feature maps of the critic's blocks: one for every halving down to 8x8 (at least one), and
            two more that do not halve; None is 128 everywhere.
        discriminator_dropout: probabilities of dropout behind the critic's last blocks; 0.2, 0.5, 0.5 in CT-GAN, whose
            `ConsistencyTerm` takes "features" for the second-to-last layer.
        auxiliary_classifier: weights of the classes' cross-entropies.

    Raises:
        ValueError: for a size that is no power of two, widths or dropout of the wrong number, and probabilities outside
            [0, 1).
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Wasserstein

    generator: Generator
    discriminator: Critic
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 128,
        generator_widths: list[int] | None = None,
        discriminator_widths: list[int] | None = None,
        discriminator_dropout: list[float] | None = None,
        auxiliary_classifier: AuxiliaryClassifier = AuxiliaryClassifier(real=1.0, fake=0.0, generator=0.1),
        training: Training = Training(),
    ) -> None:
        stages = doublings(image_size) + 1
        blocks = max(stages - 2, 1) + 2
        dropout = discriminator_dropout if discriminator_dropout is not None else []
        if len(dropout) > blocks or not all(0 <= probability < 1 for probability in dropout):
            raise ValueError(
                f"discriminator_dropout={dropout} must be at most {blocks} probabilities from 0 to below 1"
            )
        super().__init__(
            generator=Generator(
                widths=widths_or_default(
                    generator_widths, [128] * stages, setting="generator_widths", image_size=image_size
                ),
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
            ),
            discriminator=plain_critic(
                widths=widths_or_default(
                    discriminator_widths, [128] * blocks, setting="discriminator_widths", image_size=image_size
                ),
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                dropout=dropout,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.auxiliary_classifier = auxiliary_classifier
