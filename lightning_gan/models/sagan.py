"""SAGAN, "Self-Attention Generative Adversarial Networks".

Zhang et al. 2019, arXiv:1805.08318; layers as in the authors' TensorFlow code for ImageNet at 128x128.

Both networks are spectrally normalized and have one layer of self-attention, where features are 32x32. The
discriminator is SNGAN's with a projection, but for wider blocks; its learning rate is four times the generator's
(TTUR), for one turn each.

Otherwise than here, the authors let real images alone advance the power iteration, and fake ones reuse its norm. They
have networks for 128x128 only; ours for other sizes have the widths that their rule gives.
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
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

BOTTOM = 4
"""Height and width that the generator begins with and the discriminator ends with."""


def resolutions_between(image_size: int, *, attention_resolution: int | None) -> list[int]:
    """All powers of two from 4 to `image_size`.

    Raises:
        ValueError: for sizes that do not go together.
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
    """Latents to images; labels choose the gains and biases of the blocks' batch norm. Spectrally normalized.

    Arguments are as in `SAGAN`; `channels` is `generator_channels` there.

    Raises:
        ValueError: for sizes that do not go together.
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
        # Behind the block with this index.
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
        images: Tensor = self.output(relu(self.norm(features)))
        return images.tanh()


class Discriminator(nn.Module):
    """Images, and labels if there are classes, to one logit each; spectrally normalized.

    Arguments are as in `SAGAN`; `channels` is `discriminator_channels` there.

    Raises:
        ValueError: for sizes that do not go together.
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
        # Behind the block with this index.
        self.attention_index = None if attention_resolution is None else resolutions.index(attention_resolution)
        self.attention = None if self.attention_index is None else SelfAttention(widths[self.attention_index])
        self.head = ProjectionHead(widths[-1], number_of_classes=number_of_classes)
        start_uniformly(self)
        spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, `batch 1`."""
        features = images
        for index, block in enumerate(self.blocks):
            features = block(features)
            if self.attention is not None and index == self.attention_index:
                features = self.attention(features)
        logits: Logits = self.head(features, labels)
        return logits


class SAGAN(GAN):
    """SAGAN with the paper's networks as defaults, with classes or without.

    Its own loss is `Hinge`. The authors train it with Adam and betas (0, 0.999) at 0.0001 for the generator and 0.0004
    for the discriminator, one turn each, 256 images, and fakes of classes drawn uniformly (`Training.uniform_labels`).

    Args:
        image_size: 32, 64, 128 or 256.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        generator_channels: feature maps at `image_size`; every halving doubles them, up to 16 times.
        discriminator_channels: feature maps at half of `image_size`; every halving doubles them, up to 16 times.
        attention_resolution: of the features that self-attention sees in both networks, from 8 to half of `image_size`;
            None for none.
        batch_norm_momentum: weight of a new batch in the running averages of the generator's blocks; a tenth of it in
            its last. The authors' are slow: raise it for short runs.
        batch_norm_across_ranks: take the batch's statistics over all ranks.

    Raises:
        ValueError: for sizes that do not go together, and fewer than 8 feature maps under the attention.
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
