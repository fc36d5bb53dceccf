"""The residual networks of WGAN-GP for 64x64 images, with layer normalization in the critic ("good" in its code).

Gulrajani et al. 2017, arXiv:1704.00028, sections 5.1 and 5.3. The paper's networks for CIFAR-10, and the layers that
both share, are in `resnet_gan`.
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
from lightning_gan.tensors.numbers import check_at_least


class LayerNorm(nn.GroupNorm):
    """Layer normalization over all features of an image, with a gain and a bias for each channel.

    It is group normalization with one group.

    Args:
        channels: Number of channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalized features of the same shape, `batch channels height width`; the condition is not used."""
        return super().forward(features)


def layer_norm_critic(*, widths: Sequence[int], image_channels: int, number_of_classes: int) -> Critic:
    """The critic: a convolution, then residual blocks that halve the resolution down to 4x4, then linear layers.

    There is no normalization and no ReLU after the last block. The arguments are described in `LayerNormResNetGAN`,
    but here the widths are in reverse order: the first is that at the images' size.
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
    """WGAN-GP's networks for 64x64 images, also for other sizes; add the callback `GradientPenalty`.

    The default loss is `Wasserstein`. The authors train with Adam at a learning rate of 0.0001 and betas (0, 0.9),
    without labels. With classes the generator has conditional batch normalization and the critic an auxiliary
    classifier, as in `ResNetGAN`.

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8; 64 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        widths: Numbers of feature maps of both networks at 4x4, 8x8 ... `image_size`. None takes 64 at the images'
            size, and twice as many with every halving of the resolution, up to 512.
        auxiliary_classifier: Weights of the cross-entropies of the predicted classes. They have no effect without
            classes.

    Raises:
        ValueError: for a size that is not a power of two from 8, a wrong number of widths, and a width below 1.
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
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(0, number_of_classes=number_of_classes)
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
