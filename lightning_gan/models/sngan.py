"""SNGAN, "Spectral Normalization for Generative Adversarial Networks", and its projection discriminator.

Miyato et al. 2018, arXiv:1802.05957, and "cGANs with Projection Discriminator", Miyato and Koyama 2018,
arXiv:1802.05637; layers as in the authors' Chainer code, those for 48x48 as in the first paper's table of ResNets.

Every layer of the discriminator is divided by its largest singular value, so that its slope is bounded whatever the
optimizer does. With classes the generator has a gain and a bias of batch norm per class, and the discriminator adds the
inner product of its features with a vector of the class.

Otherwise than here, the authors' loop has the generator's turn first, and adds uniform noise of width 1/128 to real
images.
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
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

BATCH_NORM_EPS = 2e-5
"""Chainer's."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The networks for one size of images.

    Attributes:
        generator_widths: feature maps where the generator begins, then behind each of its blocks.
        discriminator_widths: feature maps behind each block of the discriminator.
        halvings: how many of these blocks, the first ones, halve the resolution.
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
"""By the images' height and width: CIFAR-10's, STL-10's, and two for ImageNet."""


def architecture_of(image_size: int) -> Architecture:
    """The paper's networks for a size.

    Raises:
        ValueError: if it has none.
    """
    if image_size not in ARCHITECTURES:
        raise ValueError(f"image_size={image_size}: SNGAN has networks for {', '.join(map(str, ARCHITECTURES))}")
    return ARCHITECTURES[image_size]


class Generator(nn.Module):
    """Latents to images; labels choose the gains and biases of the blocks' batch norm.

    Arguments are as in `SNGAN`; `widths` is `generator_widths` there.

    Raises:
        ValueError: for another size, or widths of the wrong number.
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
        images: Tensor = self.output(relu(self.norm(features)))
        return images.tanh()


class Discriminator(nn.Module):
    """Images, and labels if there are classes, to one logit each; spectrally normalized.

    Features are summed over the positions, so that the logit's scale grows with their number.

    Arguments are as in `SNGAN`; `widths` is `discriminator_widths` there.

    Raises:
        ValueError: for another size, or widths of the wrong number.
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
        # As in the authors' code: at 32x32 alone, the last layer has no bias.
        self.head = ProjectionHead(widths[-1], number_of_classes=number_of_classes, bias=image_size != 32)
        start_uniformly(self, residual_gain=math.sqrt(2))
        spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, `batch 1`."""
        features = images
        for block in self.blocks:
            features = block(features)
        logits: Logits = self.head(features, labels)
        return logits


class SNGAN(GAN):
    """SNGAN with the paper's networks as defaults, at four sizes, with classes or without.

    Its own loss is `Hinge`. The authors train it with Adam at 0.0002 and betas (0, 0.9), five turns of the
    discriminator for one of the generator, and fakes of classes drawn uniformly (`Training.uniform_labels`); on
    CIFAR-10 the generator's turn has twice the images (`Training.generator_batch_multiple`).

    Args:
        image_size: 32, 48, 64 or 128.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        generator_widths: feature maps where the generator begins (4x4, at 48 6x6) and behind each doubling; None for
            the paper's.
        discriminator_widths: feature maps behind each block of the discriminator; None for the paper's.
        batch_norm_across_ranks: take the batch's statistics over all ranks.

    Raises:
        ValueError: for another size, or widths of the wrong number.
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
