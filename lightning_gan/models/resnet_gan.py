"""The residual networks of WGAN-GP, "Improved Training of Wasserstein GANs".

Gulrajani et al. 2017, arXiv:1704.00028, section 5.4 and appendix F; the layers are those of the authors' code.

These are the networks for CIFAR-10, without normalization in the critic; those for 64x64 are in
`layer_norm_resnet_gan`. The paper trains them with the loss `Wasserstein` (the default here), the callback
`GradientPenalty`, and five turns of the critic per turn of the generator. With dropout in the critic they are the
networks of CT-GAN (Wei et al. 2018, arXiv:1803.01541).

As in the authors' code, batch normalization uses the statistics of the batch for sampling, too, so that an image
depends on the other images of its batch. The authors add uniform noise of width 1/128 to CIFAR images:
`dequantization_noise` of the data modules.
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
from lightning_gan.layers.dropout import Dropout
from lightning_gan.layers.growing import doublings
from lightning_gan.layers.residual import down_block, started_uniformly, up_block
from lightning_gan.layers.widths import widths_or_default
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

GLOROT, HE = 1.0, math.sqrt(2.0)
"""Factors that multiply ``sqrt(2 / (fan_in + fan_out))``, the standard deviation of uniform weights in their code."""


def started_as_in_wgan_gp(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer, after its weights are drawn uniformly and its bias is set to 0.

    The gain is `HE` for the 3x3 convolutions of the residual blocks, and `GLOROT` for their 1x1 shortcuts.
    """
    return started_uniformly(layer, gain=HE if layer.kernel_size == (3, 3) else GLOROT)


def image_convolution(in_channels: int, out_channels: int, *, gain: float) -> nn.Conv2d:
    """A 3x3 convolution that takes or gives images; its weights are drawn uniformly with `gain`, its bias is 0."""
    return started_uniformly(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), gain=gain)


class Generator(nn.Module):
    """Maps latents to images; labels select the gains and biases of the blocks' batch normalization.

    The other arguments are described in `ResNetGAN`; `widths` is called `generator_widths` there.

    Args:
        first_bias: Whether the first convolution of each block has a bias, which the normalization after it cancels. It
            has one in the authors' networks for CIFAR-10, and none in those for 64x64.
        output_gain: Gain of the initial weights of the last convolution: `GLOROT` for CIFAR-10, `HE` for 64x64.
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
                start=started_as_in_wgan_gp,
            )
            for before, after in pairwise(widths)
        )
        self.output_norm = BatchNorm(widths[-1], always_batch_statistics=True)
        self.output = image_convolution(widths[-1], image_channels, gain=output_gain)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        features: Tensor = self.input(latents).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            features = block(features, labels)
        images: Tensor = self.output(relu(self.output_norm(features), inplace=True)).tanh()
        return images


class MeanOverPixels(nn.Module):
    """The mean of each feature map over its pixels."""

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch channels`."""
        return features.mean(dim=(2, 3))


class Critic(nn.Module):
    """Maps images to `batch 1 + classes`: a score, then the class logits of an auxiliary classifier.

    Its second-to-last layer is the submodule `features`. The other arguments are described in `ResNetGAN`.

    Args:
        features: Layers that map images to features `batch feature_count`.
        feature_count: Number of features of an image.
    """

    def __init__(self, *, features: nn.Sequential, feature_count: int, number_of_classes: int) -> None:
        super().__init__()
        self.features = features
        self.to_score = started_uniformly(nn.Linear(feature_count, 1))
        self.to_classes = started_uniformly(nn.Linear(feature_count, number_of_classes)) if number_of_classes else None

    def forward(self, images: Images) -> Logits:
        """Images in [-1, 1] to `batch 1 + classes`; without classes to scores `batch 1`."""
        features = self.features(images)
        score: Tensor = self.to_score(features)
        return score if self.to_classes is None else torch.cat([score, self.to_classes(features)], dim=1)


def plain_critic(
    *, widths: Sequence[int], image_channels: int, number_of_classes: int, dropout: Sequence[float]
) -> Critic:
    """The critic for CIFAR-10: blocks that halve the resolution, two blocks that do not, and the mean over pixels.

    It has no normalization. The arguments `widths` and `dropout` are described in `ResNetGAN` as
    `discriminator_widths` and `discriminator_dropout`.
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
        features += [block, Dropout(probability)] if probability else [block]
    return Critic(
        features=nn.Sequential(*features, nn.ReLU(), MeanOverPixels()),
        feature_count=widths[-1],
        number_of_classes=number_of_classes,
    )


class ResNetGAN(AuxiliaryClassifierGAN):
    """WGAN-GP's networks for CIFAR-10, also for other sizes; add the callback `GradientPenalty`.

    The default loss is `Wasserstein`. With classes the generator has conditional batch normalization and the critic an
    auxiliary classifier, with the authors' weights. The authors train with Adam and betas (0, 0.9), at a learning rate
    that falls linearly from 0.0002 to 0 within 100,000 turns of the generator. In its turn the generator makes twice as
    many images as in a turn of the critic (`Training.generator_batch_multiple`), of classes that are drawn uniformly
    (`Training.uniform_labels`).

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8; 32 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        generator_widths: Numbers of feature maps at 4x4, 8x8 ... `image_size`. None takes 128 everywhere.
        discriminator_widths: Numbers of feature maps of the critic's blocks: one for every halving down to 8x8 (at
            least one), and two more for the blocks that do not halve. None takes 128 everywhere.
        discriminator_dropout: Probabilities of dropout after the critic's last blocks, each in [0, 1); 0.2, 0.5, 0.5 in
            CT-GAN. None has no dropout. The second-to-last layer of the callback `ConsistencyTerm` is "features".
        auxiliary_classifier: Weights of the cross-entropies of the predicted classes. They have no effect without
            classes.

    Raises:
        ValueError: for a size that is not a power of two from 8, a wrong number of widths or probabilities, and
            probabilities outside [0, 1).
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
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(0, number_of_classes=number_of_classes)
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
