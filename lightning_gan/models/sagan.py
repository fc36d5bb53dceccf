"""SAGAN, "Self-Attention Generative Adversarial Networks".

Zhang et al. 2019, arXiv:1805.08318; the layers are those of the authors' TensorFlow code for ImageNet at 128x128.

Both networks have spectral normalization, and one layer of self-attention on features of 32x32. The discriminator is
SNGAN's projection discriminator with wider blocks. It has four times the generator's learning rate (TTUR), and both
players take turns one to one.

Different from the authors: in their code only the forward pass of real images updates the power iteration, and that of
fake images reuses its result. They have networks for 128x128 only; ours for other sizes have the widths that their rule
gives.
"""

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.batch_norm import BatchNorm, labelled_affine
from lightning_gan.layers.projection import ProjectionHead
from lightning_gan.layers.residual import down_block, start_uniformly, up_block
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

BOTTOM = 4
"""Height and width in pixels of the generator's first features and of the discriminator's last features."""


def resolutions_between(image_size: int, *, attention_resolution: int | None) -> list[int]:
    """All powers of two from 4 to `image_size`, after a check of both arguments, which are described in `SAGAN`.

    Raises:
        ValueError: for another image size, and for attention at a resolution that the networks do not have.
    """
    if not 32 <= image_size <= 256 or not math.log2(image_size).is_integer():
        raise ValueError(f"image_size={image_size} must be 32, 64, 128 or 256")
    resolutions = [2**power for power in range(2, round(math.log2(image_size)) + 1)]
    possible = resolutions[1:-1]
    if attention_resolution is not None and attention_resolution not in possible:
        raise ValueError(
            f"attention_resolution={attention_resolution}: at image_size={image_size} there are features of "
            f"{', '.join(map(str, possible))}; give one of these, or None for no attention"
        )
    return resolutions


class Generator(nn.Module):
    """Maps latents to images; labels select the gains and biases of the blocks' batch normalization.

    All layers have spectral normalization. The arguments are described in `SAGAN`; `channels` is called
    `generator_channels` there.

    Raises:
        ValueError: for another image size, and for attention at a resolution that the network does not have.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        channels: int,
        attention_resolution: int | None,
        batch_norm_momentum: float,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        resolutions = resolutions_between(image_size, attention_resolution=attention_resolution)
        widths = [channels * min(image_size // resolution, 16) for resolution in resolutions]
        self.input = nn.Linear(latent_dim, widths[0] * BOTTOM**2)

        def norm(of: int) -> BatchNorm:
            affine = labelled_affine(of, number_of_classes=number_of_classes)
            return BatchNorm(of, affine=affine, momentum=batch_norm_momentum, across_ranks=batch_norm_across_ranks)

        self.blocks = nn.ModuleList(
            up_block(norms=(norm(before), norm(after)), in_channels=before, out_channels=after)
            for before, after in pairwise(widths)
        )
        # The attention follows the block with this index.
        self.attention_index = None if attention_resolution is None else resolutions[1:].index(attention_resolution)
        self.attention = None if self.attention_index is None else SelfAttention(widths[self.attention_index + 1])
        self.norm = BatchNorm(widths[-1], momentum=batch_norm_momentum / 10, across_ranks=batch_norm_across_ranks)
        self.output = nn.Conv2d(widths[-1], image_channels, kernel_size=3, padding=1)
        start_uniformly(self)
        spectrally_normalized(self)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        features: Tensor = self.input(latents).unflatten(1, (-1, BOTTOM, BOTTOM))
        for index, block in enumerate(self.blocks):
            features = block(features, labels)
            if self.attention is not None and index == self.attention_index:
                features = self.attention(features)
        images: Tensor = self.output(relu(self.norm(features), inplace=True))
        return images.tanh()


class Discriminator(nn.Module):
    """Maps images, and labels if there are classes, to one logit each. All layers have spectral normalization.

    The arguments are described in `SAGAN`; `channels` is called `discriminator_channels` there.

    Raises:
        ValueError: for another image size, and for attention at a resolution that the network does not have.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        channels: int,
        attention_resolution: int | None,
    ) -> None:
        super().__init__()
        resolutions = resolutions_between(image_size, attention_resolution=attention_resolution)[-2::-1]
        widths = [channels * min(image_size // 2 // resolution, 16) for resolution in resolutions]
        self.blocks = nn.ModuleList(
            down_block(in_channels=before, hidden_channels=after, out_channels=after, takes_images=index == 0)
            for index, (before, after) in enumerate(pairwise([image_channels, *widths]))
        )
        self.blocks.append(
            down_block(in_channels=widths[-1], hidden_channels=widths[-1], out_channels=widths[-1], downsamples=False)
        )
        # The attention follows the block with this index.
        self.attention_index = None if attention_resolution is None else resolutions.index(attention_resolution)
        self.attention = None if self.attention_index is None else SelfAttention(widths[self.attention_index])
        self.head = ProjectionHead(widths[-1], number_of_classes=number_of_classes)
        start_uniformly(self)
        spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features = images
        for index, block in enumerate(self.blocks):
            features = block(features)
            if self.attention is not None and index == self.attention_index:
                features = self.attention(features)
        logits: Logits = self.head(features, labels)
        return logits


class SAGAN(GAN):
    """SAGAN with the paper's networks as defaults, with classes or without.

    The default loss is `Hinge`. The authors train with Adam and betas (0, 0.999), at a learning rate of 0.0001 for the
    generator and 0.0004 for the discriminator, one turn each, with batches of 256 images. The classes of generated
    images are drawn uniformly (`Training.uniform_labels`).

    Args:
        image_size: Height and width of the images in pixels: 32, 64, 128 or 256.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        generator_channels: Number of the generator's feature maps at `image_size`. It doubles with every halving of the
            resolution, up to 16 times.
        discriminator_channels: Number of the discriminator's feature maps at half of `image_size`. It doubles with
            every halving of the resolution, up to 16 times.
        attention_resolution: Height and width of the features on which both networks have self-attention, from 8 to
            half of `image_size`. None has no self-attention.
        batch_norm_momentum: Weight of a new batch in the running averages of the batch normalization in the generator's
            blocks, from 0 to 1. The generator's last batch normalization uses a tenth of it. The authors' averages
            change slowly: use a larger value for short runs.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for another image size, for attention at a resolution that the networks do not have, and for fewer
            than 8 feature maps at the resolution of the attention.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Hinge

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int = 128,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 128,
        generator_channels: int = 64,
        discriminator_channels: int = 64,
        attention_resolution: int | None = 32,
        batch_norm_momentum: float = 0.001,
        batch_norm_across_ranks: bool = True,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            generator_channels=generator_channels,
            discriminator_channels=discriminator_channels,
            attention_resolution=attention_resolution,
        )
        check_at_least(0, number_of_classes=number_of_classes, batch_norm_momentum=batch_norm_momentum)
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                channels=generator_channels,
                attention_resolution=attention_resolution,
                batch_norm_momentum=batch_norm_momentum,
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                channels=discriminator_channels,
                attention_resolution=attention_resolution,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.image_size = image_size
