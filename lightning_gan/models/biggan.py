"""BigGAN, "Large Scale GAN Training for High Fidelity Natural Image Synthesis".

Brock et al. 2019, arXiv:1809.11096, appendix B, figure 15; layers as in BigGAN-PyTorch, the authors' public code.

It is a ResNet with self-attention, spectral normalization in both networks and a projection discriminator. All batch
normalizations in the generator's blocks share one embedding of the class. Those of each block also get the block's own
chunk of the latent, concatenated to the embedding ("hierarchical" latents, "skip-z").

The paper's table 1 adds these changes one after the other, on ImageNet at 128x128: batches of 2048 instead of 256 help
most (Inception score +46 %, in fewer iterations); 96 instead of 64 base channels help again (+21 %); the shared
embedding and hierarchical latents help a little, and make training faster; orthogonal regularization costs little, and
truncation then works in 60 % of the models instead of 16 %. Training collapses in the end: keep earlier checkpoints,
and use the callback `SingularValues`.

The discriminator gets real and fake images in two forward passes and not as one batch. The only effect is that each
turn updates its power iterations twice.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.batch_norm import BatchNorm, VectorAffine, labelled_affine
from lightning_gan.layers.initialization import Initialization, Orthogonal, initialize
from lightning_gan.layers.projection import ClassEmbedding, ProjectionHead
from lightning_gan.layers.residual import down_block, up_block
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

# The widths are those of the authors' public code. It has no discriminator for 512x512; the one here is that of
# Google's compare_gan.
GENERATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""By image size: channels at 4x4 and after each doubling of the resolution, as multiples of the base channels."""

DISCRIMINATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
    512: (1, 1, 2, 4, 8, 8, 16, 16),
}
"""By image size, as multiples of the base channels: channels after each block (BigGAN), or before the first stage and
after each stage (BigGAN-deep)."""

BOTTOM = 4
"""Height and width in pixels of a generator's first features."""


def check_sizes(*, image_size: int, attention_resolutions: tuple[int, ...]) -> None:
    """Checks that there are networks for this image size, and that they have the resolutions of the attention.

    The arguments are described in `BigGAN`.

    Raises:
        ValueError: for an image size without a table, and for attention at a resolution that the networks do not have.
    """
    if image_size not in GENERATOR_WIDTHS:
        raise ValueError(f"image_size={image_size}: BigGAN has tables for {', '.join(map(str, GENERATOR_WIDTHS))}")
    possible = [size for size in (8, 16, 32, 64, 128, 256) if size < image_size]
    for resolution in attention_resolutions:
        if resolution not in possible:
            raise ValueError(
                f"attention_resolutions={list(attention_resolutions)}: the networks of image_size={image_size} have "
                f"features of {', '.join(map(str, possible))}; give some of these, or [] for no attention"
            )


def keeps_resolution(image_size: int, *, block: int) -> bool:
    """Whether a block of the discriminator keeps the resolution: for 32x32 images all but the first two blocks do.

    Args:
        block: Number of the block in BigGAN, or of the stage in BigGAN-deep, from 0.
    """
    return image_size == 32 and block >= 2


class Generator(nn.Module):
    """Maps latents, and labels if there are classes, to images.

    The arguments are described in `BigGAN`; `base_channels` and `spectral_norm` are called `generator_channels` and
    `generator_spectral_norm` there.

    Raises:
        ValueError: for an image size without a table, attention at a resolution that the network does not have, a
            latent that cannot be cut into equal chunks, and hierarchical latents with classes but without a shared
            embedding.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        base_channels: int,
        attention_resolutions: tuple[int, ...],
        shared_embedding: bool,
        embedding_dim: int,
        hierarchical_latents: bool,
        spectral_norm: bool,
        initialization: Initialization | None,
        batch_norm_eps: float,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        check_sizes(image_size=image_size, attention_resolutions=attention_resolutions)
        if number_of_classes and hierarchical_latents and not shared_embedding:
            raise ValueError(
                "shared_embedding=False has no class vector to concatenate latents to; set hierarchical_latents=False"
            )
        channels = [base_channels * width for width in GENERATOR_WIDTHS[image_size]]
        self.chunks = len(channels) if hierarchical_latents else 1
        if latent_dim % self.chunks:
            raise ValueError(
                f"latent_dim={latent_dim} is cut into {self.chunks} chunks, one for the first layer and one for each "
                f"block: choose a multiple, such as {latent_dim // self.chunks * self.chunks or self.chunks}"
            )
        chunk = latent_dim // self.chunks
        embeds = bool(number_of_classes) and shared_embedding
        self.embedding = ClassEmbedding(number_of_classes, embedding_dim) if embeds else None
        self.linear = nn.Linear(chunk, channels[0] * BOTTOM**2)
        condition_dim = (embedding_dim if embeds else 0) + (chunk if hierarchical_latents else 0)

        def norm(of: int) -> BatchNorm:
            affine = (
                VectorAffine(of, condition_dim=condition_dim)
                if condition_dim
                else labelled_affine(of, number_of_classes=number_of_classes)
            )
            return BatchNorm(of, affine=affine, eps=batch_norm_eps, across_ranks=batch_norm_across_ranks)

        self.blocks = nn.ModuleList()
        for index, (before, after) in enumerate(pairwise(channels)):
            block = up_block(norms=(norm(before), norm(after)), in_channels=before, out_channels=after)
            if BOTTOM * 2 ** (index + 1) in attention_resolutions:
                block.attention = SelfAttention(after)
            self.blocks.append(block)
        self.norm = BatchNorm(channels[-1], across_ranks=batch_norm_across_ranks)
        self.to_rgb = nn.Conv2d(channels[-1], image_channels, kernel_size=3, padding=1)
        initialize(self, Orthogonal() if initialization is None else initialization)
        if spectral_norm:
            spectrally_normalized(self, excluded=("embedding",) if embeds else ())

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        chunks = list(latents.chunk(self.chunks, dim=1))
        features: Tensor = self.linear(chunks[0]).unflatten(1, (-1, BOTTOM, BOTTOM))
        condition: Tensor | None = labels if self.embedding is None else self.embedding(labels)
        for index, block in enumerate(self.blocks):
            joined = condition
            if len(chunks) > 1:
                chunk = chunks[index + 1]
                joined = chunk if condition is None else torch.cat([condition.to(chunk.dtype), chunk], dim=1)
            features = block(features, joined)
        images: Tensor = self.to_rgb(relu(self.norm(features), inplace=True))
        return images.tanh()


class Discriminator(nn.Module):
    """Maps images, and labels if there are classes, to one logit each.

    The arguments are described in `BigGAN`; `base_channels` and `spectral_norm` are called `discriminator_channels` and
    `discriminator_spectral_norm` there.

    Raises:
        ValueError: for an image size without a table, and attention at a resolution that the network does not have.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        base_channels: int,
        attention_resolutions: tuple[int, ...],
        spectral_norm: bool,
        initialization: Initialization | None,
    ) -> None:
        super().__init__()
        check_sizes(image_size=image_size, attention_resolutions=attention_resolutions)
        channels = [image_channels, *(base_channels * width for width in DISCRIMINATOR_WIDTHS[image_size])]
        self.blocks = nn.ModuleList()
        resolution = image_size
        for index, (before, after) in enumerate(pairwise(channels)):
            is_last = index == len(channels) - 2
            downsamples = not is_last and not keeps_resolution(image_size, block=index)
            block = down_block(
                in_channels=before,
                hidden_channels=after,
                out_channels=after,
                takes_images=index == 0,
                downsamples=downsamples,
            )
            resolution = resolution // 2 if downsamples else resolution
            if resolution in attention_resolutions:
                block.attention = SelfAttention(after)
            self.blocks.append(block)
        self.head = ProjectionHead(channels[-1], number_of_classes=number_of_classes)
        initialize(self, Orthogonal() if initialization is None else initialization)
        if spectral_norm:
            spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features = images
        for block in self.blocks:
            features = block(features)
        logits: Logits = self.head(features, labels)
        return logits


class BigGAN(GAN):
    """BigGAN with the paper's settings as defaults; add `EMA`, `StandingStatistics` and `OrthogonalGenerator`.

    The default loss is `Hinge`.

    Args:
        image_size: Height and width of the images in pixels: 32, 64, 128, 256 or 512.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels, and without projection in the discriminator.
        latent_dim: Size of the latent z: 120 at 128x128, 140 at 256x256, 128 at 512x512. With hierarchical latents it
            must be a multiple of the number of the generator's blocks plus 1.
        generator_channels: Base channels of the generator ("ch", 96 in the paper): the table of its widths is
            multiplied by this number.
        discriminator_channels: Base channels of the discriminator ("ch", 96 in the paper): the table of its widths is
            multiplied by this number.
        attention_resolutions: Heights of the features that are followed by self-attention in both networks. An empty
            list has no self-attention.
        discriminator_attention_resolutions: The same for the discriminator alone. None takes `attention_resolutions`.
        shared_embedding: True shares one embedding of the class between all batch normalizations in the generator's
            blocks. False gives each of them its own tables of gains and biases.
        embedding_dim: Size of the shared embedding.
        hierarchical_latents: True cuts the latent into chunks: one for the first layer, and one for each block's batch
            normalizations. False gives the whole latent to the first layer alone.
        generator_spectral_norm: Whether the generator has spectral normalization, in all layers except the shared
            embedding and the tables of batch normalization.
        discriminator_spectral_norm: Whether the discriminator has spectral normalization, in all layers.
        initialization: How the weights of both networks are initialized. None initializes them orthogonally.
        batch_norm_eps: Epsilon of the batch normalizations in the generator's blocks. The generator's last batch
            normalization always has 1e-5.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for an image size without a table, attention at a resolution that the networks do not have, a
            latent that cannot be cut into equal chunks, and hierarchical latents with classes but without a shared
            embedding.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Hinge

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 120,
        generator_channels: int = 96,
        discriminator_channels: int = 96,
        attention_resolutions: tuple[int, ...] = (64,),
        discriminator_attention_resolutions: tuple[int, ...] | None = None,
        shared_embedding: bool = True,
        embedding_dim: int = 128,
        hierarchical_latents: bool = True,
        generator_spectral_norm: bool = True,
        discriminator_spectral_norm: bool = True,
        initialization: Initialization | None = None,
        batch_norm_eps: float = 1e-5,
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
            embedding_dim=embedding_dim,
        )
        check_at_least(0, number_of_classes=number_of_classes, batch_norm_eps=batch_norm_eps)
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                base_channels=generator_channels,
                attention_resolutions=attention_resolutions,
                shared_embedding=shared_embedding,
                embedding_dim=embedding_dim,
                hierarchical_latents=hierarchical_latents,
                spectral_norm=generator_spectral_norm,
                initialization=initialization,
                batch_norm_eps=batch_norm_eps,
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                base_channels=discriminator_channels,
                attention_resolutions=(
                    attention_resolutions
                    if discriminator_attention_resolutions is None
                    else discriminator_attention_resolutions
                ),
                spectral_norm=discriminator_spectral_norm,
                initialization=initialization,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        # A checkpoint has the weights, so that their initialization need not be saved.
        self.save_hyperparameters(ignore=[*unsaved_arguments(), "initialization"])
        self.image_size = image_size

    def truncated(
        self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float, fresh_noise: bool
    ) -> Images:
        """Images of latents that are truncated as in `layers.truncated_normal.truncated_latents`.

        Args:
            network: The generator, or the one with average weights.
            latents: Standard normal latents, `batch latent_dim`.
            labels: Class indices or multi-hot rows; None without classes.
            truncation: Factor psi of the truncated latents, from 0 (all latents are 0) to 1 (no truncation).
            fresh_noise: Not used, because no layer takes noise.

        Raises:
            ValueError: for a truncation outside of [0, 1].
        """
        images: Images = network(truncated_latents(latents, truncation=truncation), labels)
        return images
