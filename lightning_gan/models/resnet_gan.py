"""The residual networks of WGAN-GP, "Improved Training of Wasserstein GANs".

Gulrajani et al. 2017, arXiv:1704.00028, section 5.4 and appendix F; layers as in the authors' code.

These are the networks for CIFAR-10, without normalization in the critic; those for 64x64 are in
`layer_norm_resnet_gan`. They go with the loss `Wasserstein`, which is the default, the callback `GradientPenalty` and
five turns of the critic. With dropout in the critic they are the networks of CT-GAN (Wei et al. 2018,
arXiv:1803.01541).

Batch norm uses the batch's own statistics in sampling too, as the authors' does, so an image depends a little on the
others made with it. The authors add uniform noise of width 1/128 to CIFAR images; we do not.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.batch_norm import BatchNorm, labelled_affine
from lightning_gan.layers.growing import doublings
from lightning_gan.layers.residual import down_block, started_uniformly, up_block
from lightning_gan.layers.widths import widths_or_default
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

GLOROT, HE = 1.0, math.sqrt(2.0)
"""Factors on ``sqrt(2 / (fan_in + fan_out))``, the standard deviation of uniform weights in the authors' code."""


def started_as_in_wgan_gp(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer: weights of the blocks' 3x3 convolutions uniform with `HE`, of their shortcuts with `GLOROT`."""
    return started_uniformly(layer, gain=HE if layer.kernel_size == (3, 3) else GLOROT)


def image_convolution(in_channels: int, out_channels: int, *, gain: float) -> nn.Conv2d:
    """The 3x3 convolution from images or to images, its weights uniform with `gain`."""
    return started_uniformly(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), gain=gain)


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
        self.input = started_uniformly(nn.Linear(latent_dim, widths[0] * 16))

        def norm(channels: int) -> BatchNorm:
            affine = labelled_affine(channels, number_of_classes=number_of_classes)
            return BatchNorm(channels, affine=affine, always_batch_statistics=True)

        self.blocks = nn.ModuleList(
            up_block(
                norms=(norm(before), norm(after)),
                in_channels=before,
                out_channels=after,
                first_bias=first_bias,
                shortcut_leads=True,
                start=started_as_in_wgan_gp,
            )
            for before, after in pairwise(widths)
        )
        self.output_norm = BatchNorm(widths[-1], always_batch_statistics=True)
        self.output = image_convolution(widths[-1], image_channels, gain=output_gain)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        features: Tensor = self.input(latents).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            features = block(features, labels)
        images: Tensor = self.output(relu(self.output_norm(features))).tanh()
        return images


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
        self.to_score = started_uniformly(nn.Linear(feature_count, 1))
        self.to_classes = started_uniformly(nn.Linear(feature_count, number_of_classes)) if number_of_classes else None

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
    make = partial(down_block, start=started_as_in_wgan_gp)
    first = make(in_channels=image_channels, hidden_channels=widths[0], out_channels=widths[0], takes_images=True)
    blocks: list[nn.Module] = [first]
    for before, after in pairwise(widths[:-2]):
        blocks.append(make(in_channels=before, hidden_channels=before, out_channels=after))
    for before, after in pairwise(widths[-3:]):
        blocks.append(make(in_channels=before, hidden_channels=after, out_channels=after, downsamples=False))
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
