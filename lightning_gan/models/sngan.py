"""SNGAN, "Spectral Normalization for Generative Adversarial Networks", and its projection discriminator.

Miyato et al. 2018, arXiv:1802.05957, and "cGANs with Projection Discriminator", Miyato and Koyama 2018,
arXiv:1802.05637. The layers are those of the authors' Chainer code; those for 48x48 are in the first paper's table of
ResNets.

The weights of every layer of the discriminator are divided by their largest singular value, which bounds the layer's
Lipschitz constant. With classes the generator has one gain and bias of batch normalization per class, and the
discriminator adds the inner product of its features and a learned vector of the class.

Different from the authors: their loop has the generator's turn first. The uniform noise of width 1/128 that they add to
real images is `dequantization_noise` of the data modules.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.batch_norm import BatchNorm, labelled_affine
from lightning_gan.layers.projection import ProjectionHead
from lightning_gan.layers.residual import down_block, start_uniformly, up_block
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.layers.widths import widths_or_default
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

BATCH_NORM_EPS = 2e-5
"""The default epsilon of batch normalization in Chainer."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The numbers of feature maps of both networks for one size of images.

    Attributes:
        generator_widths: Feature maps with which the generator begins, then those after each of its blocks.
        discriminator_widths: Feature maps after each block of the discriminator.
        halvings: How many blocks of the discriminator, counted from the first, halve the resolution.
    """

    generator_widths: tuple[int, ...]
    discriminator_widths: tuple[int, ...]
    halvings: int


ARCHITECTURES = {
    32: Architecture(generator_widths=(256,) * 4, discriminator_widths=(128,) * 4, halvings=2),
    48: Architecture(generator_widths=(512, 256, 128, 64), discriminator_widths=(64, 128, 256, 512, 1024), halvings=4),
    64: Architecture(
        generator_widths=(1024, 512, 256, 128, 64), discriminator_widths=(64, 128, 256, 512, 1024), halvings=5
    ),
    128: Architecture(
        generator_widths=(1024, 1024, 512, 256, 128, 64),
        discriminator_widths=(64, 128, 256, 512, 1024, 1024),
        halvings=5,
    ),
}
"""The authors' architectures by the height and width of the images: for CIFAR-10, for STL-10, and two for ImageNet."""


def architecture_of(image_size: int) -> Architecture:
    """The authors' architecture for images of this height and width in pixels.

    Raises:
        ValueError: if there is none for this size.
    """
    if image_size not in ARCHITECTURES:
        raise ValueError(f"image_size={image_size}: SNGAN has networks for {', '.join(map(str, ARCHITECTURES))}")
    return ARCHITECTURES[image_size]


class Generator(nn.Module):
    """Maps latents to images; labels select the gains and biases of the blocks' batch normalization.

    The arguments are described in `SNGAN`; `widths` is called `generator_widths` there.

    Raises:
        ValueError: for another image size, and for a wrong number of widths.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        widths: Sequence[int] | None,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        papers = architecture_of(image_size).generator_widths
        widths = widths_or_default(widths, papers, setting="generator_widths", image_size=image_size)
        self.bottom = image_size // 2 ** (len(widths) - 1)
        self.input = nn.Linear(latent_dim, widths[0] * self.bottom**2)

        def norm(channels: int) -> BatchNorm:
            affine = labelled_affine(channels, number_of_classes=number_of_classes)
            return BatchNorm(channels, affine=affine, eps=BATCH_NORM_EPS, across_ranks=batch_norm_across_ranks)

        self.blocks = nn.ModuleList(
            up_block(norms=(norm(before), norm(after)), in_channels=before, out_channels=after)
            for before, after in pairwise(widths)
        )
        self.norm = BatchNorm(widths[-1], eps=BATCH_NORM_EPS, across_ranks=batch_norm_across_ranks)
        self.output = nn.Conv2d(widths[-1], image_channels, kernel_size=3, padding=1)
        start_uniformly(self, residual_gain=math.sqrt(2))

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        features: Tensor = self.input(latents).unflatten(1, (-1, self.bottom, self.bottom))
        for block in self.blocks:
            features = block(features, labels)
        images: Tensor = self.output(relu(self.norm(features), inplace=True))
        return images.tanh()


class Discriminator(nn.Module):
    """Maps images, and labels if there are classes, to one logit each. All layers have spectral normalization.

    The last features are summed over their positions, so that the scale of the logit grows with the number of
    positions. The arguments are described in `SNGAN`; `widths` is called `discriminator_widths` there.

    Raises:
        ValueError: for another image size, and for a wrong number of widths.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        widths: Sequence[int] | None,
    ) -> None:
        super().__init__()
        architecture = architecture_of(image_size)
        papers = architecture.discriminator_widths
        widths = widths_or_default(widths, papers, setting="discriminator_widths", image_size=image_size)
        self.blocks = nn.ModuleList()
        for index, (before, after) in enumerate(pairwise([image_channels, *widths])):
            block = down_block(
                in_channels=before,
                hidden_channels=after if index == 0 else before,
                out_channels=after,
                takes_images=index == 0,
                downsamples=index < architecture.halvings,
            )
            self.blocks.append(block)
        # As in the authors' code, the last layer has no bias at 32x32, and one at the other sizes.
        self.head = ProjectionHead(widths[-1], number_of_classes=number_of_classes, bias=image_size != 32)
        start_uniformly(self, residual_gain=math.sqrt(2))
        spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features = images
        for block in self.blocks:
            features = block(features)
        logits: Logits = self.head(features, labels)
        return logits


class SNGAN(GAN):
    """SNGAN with the paper's networks as defaults, at four sizes, with classes or without.

    The default loss is `Hinge`. The authors train with Adam at a learning rate of 0.0002 and betas (0, 0.9), with five
    turns of the discriminator for one of the generator. The classes of generated images are drawn uniformly
    (`Training.uniform_labels`). On CIFAR-10 the generator makes twice as many images in its turn as in a turn of the
    discriminator (`Training.generator_batch_multiple`).

    Args:
        image_size: Height and width of the images in pixels: 32, 48, 64 or 128.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        generator_widths: Numbers of feature maps of the generator: at its lowest resolution (4x4, for images of 48x48
            6x6), then after each block, which doubles the resolution. None takes those of the authors for this size.
        discriminator_widths: Numbers of feature maps after each block of the discriminator. None takes those of the
            authors for this size.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for another image size, a wrong number of widths, and a width below 1.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Hinge

    generator: Generator
    discriminator: Discriminator
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
        batch_norm_across_ranks: bool = True,
        training: Training = Training(),
    ) -> None:
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(0, number_of_classes=number_of_classes)
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                widths=generator_widths,
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                widths=discriminator_widths,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.image_size = image_size
