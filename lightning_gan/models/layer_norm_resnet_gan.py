"""The residual networks of WGAN-GP for 64x64 images, with layer norm in the critic ("good" networks of its code).

Gulrajani et al. 2017, arXiv:1704.00028, sections 5.1 and 5.3; the other networks of that paper, and what both share,
are in `resnet_gan`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from lightning_gan.layers.growing import doublings
from lightning_gan.layers.residual import down_block
from lightning_gan.layers.widths import widths_or_default
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.models.resnet_gan import (
    GLOROT,
    HE,
    Critic,
    Generator,
    image_convolution,
    started_as_in_wgan_gp,
)


class LayerNorm(nn.GroupNorm):
    """Layer norm over all features of an image, with a gain and a bias for each channel: group norm of one group.

    Args:
        channels: channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """The same shape; the condition is not used."""
        return super().forward(features)


def layer_norm_critic(*, widths: Sequence[int], image_channels: int, number_of_classes: int) -> Critic:
    """A convolution, then blocks that halve the image down to 4x4; neither norm nor relu behind them.

    Arguments are as in `LayerNormResNetGAN`, but for the widths, which begin at the images' size.
    """
    entrance = image_convolution(image_channels, widths[0], gain=GLOROT)
    blocks = [
        down_block(
            norms=(LayerNorm(before), LayerNorm(before)),
            in_channels=before,
            hidden_channels=before,
            out_channels=after,
            first_bias=False,
            start=started_as_in_wgan_gp,
        )
        for before, after in pairwise(widths)
    ]
    return Critic(
        features=nn.Sequential(entrance, *blocks, nn.Flatten()),
        feature_count=widths[-1] * 16,
        number_of_classes=number_of_classes,
    )


class LayerNormResNetGAN(AuxiliaryClassifierGAN):
    """WGAN-GP's networks for 64x64 images, at any size; add `GradientPenalty` as a callback.

    Its own loss is `Wasserstein`. The authors' optimizers are Adam with 0.0001 and betas (0, 0.9), and have no labels
    here; with classes it does what `ResNetGAN` does.

    Args:
        image_size: a power of two from 8; the paper has 64.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        widths: feature maps at 4x4, 8x8 ... `image_size`, of both networks; None is 64 at the images' size, twice as
            many with every halving, but no more than 512.
        auxiliary_classifier: weights of the classes' cross-entropies.

    Raises:
        ValueError: for a size that is no power of two, and a wrong number of widths.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Wasserstein

    generator: Generator
    discriminator: Critic
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int = 64,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 128,
        widths: list[int] | None = None,
        auxiliary_classifier: AuxiliaryClassifier = AuxiliaryClassifier(real=1.0, fake=0.0, generator=0.1),
        training: Training = Training(),
    ) -> None:
        default = [min(64 * 2**halvings, 512) for halvings in reversed(range(doublings(image_size) + 1))]
        by_resolution = widths_or_default(widths, default, setting="widths", image_size=image_size)
        super().__init__(
            generator=Generator(
                widths=by_resolution,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                first_bias=False,
                output_gain=HE,
            ),
            discriminator=layer_norm_critic(
                widths=by_resolution[::-1], image_channels=image_channels, number_of_classes=number_of_classes
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.auxiliary_classifier = auxiliary_classifier
