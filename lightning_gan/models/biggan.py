"""BigGAN, "Large Scale GAN Training for High Fidelity Natural Image Synthesis".

Brock et al. 2019, arXiv:1809.11096, appendix B, figure 15; layers as in BigGAN-PyTorch, the authors' public code.

A ResNet with self-attention, spectral normalization in both networks and a projection discriminator. One embedding of
the class is shared by all of the generator's batch normalizations, and each of them gets its own chunk of the latent
beside it ("hierarchical" latents, "skip-z").

The paper's table 1 finds, on ImageNet at 128x128, in the order in which it adds them: batches of 2048 instead of 256
help most (Inception score +46 %, in fewer iterations); 96 instead of 64 base channels help again (+21 %); the shared
embedding and hierarchical latents help a little, and training is faster by them; orthogonal regularization costs
little and makes truncation work in 60 % of models instead of 16 %. Training collapses in the end: keep earlier
checkpoints, and watch the `SingularValues`.

Real and fake images go through the discriminator one after the other and not as one batch, which only moves its
power iterations twice as often.
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
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits

# Widths are those of the authors' tables as their public code has them. It has no discriminator for 512x512: there,
# that of Google's compare_gan stands.
GENERATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""By image size: channels at 4x4 and behind each doubling of the resolution, as multiples of the base."""

DISCRIMINATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
    512: (1, 1, 2, 4, 8, 8, 16, 16),
}
"""By image size: channels behind each block (BigGAN), or before the first and behind each stage (BigGAN-deep)."""

BOTTOM = 4
"""Height and width that a generator starts from."""


def check_sizes(*, image_size: int, attention_resolutions: tuple[int, ...]) -> None:
    """Whether both networks have these resolutions.

    Raises:
        ValueError: for another image size than the tables', or attention where there are no such features.
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
    """Whether a block of the discriminator does not halve the resolution: at 32x32 none behind 8x8 does."""
    return image_size == 32 and block >= 2


class Generator(nn.Module):
    """Latents and classes to images.

    Arguments are as in `BigGAN`; `base_channels` and `spectral_norm` are `generator_channels` and
    `generator_spectral_norm` there.

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
            raise ValueError("shared_embedding=False has no vector to join latents to; set hierarchical_latents=False")
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
        images: Tensor = self.to_rgb(relu(self.norm(features)))
        return images.tanh()


class Discriminator(nn.Module):
    """Images and classes to one logit each.

    Arguments are as in `BigGAN`; `base_channels` and `spectral_norm` are `discriminator_channels` and
    `discriminator_spectral_norm` there.

    Raises:
        ValueError: for sizes that do not go together.
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
        """Logits, `batch 1`."""
        features = images
        for block in self.blocks:
            features = block(features)
        logits: Logits = self.head(features, labels)
        return logits


class BigGAN(GAN):
    """BigGAN with the paper's settings as defaults; add `EMA`, `StandingStatistics` and `OrthogonalGenerator`.

    Its own loss is `Hinge`.

    Args:
        image_size: 32, 64, 128, 256 or 512.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels, and no projection in the discriminator.
        latent_dim: size of z: 120 at 128x128, 140 at 256x256, 128 at 512x512; with hierarchical latents a multiple of
            the number of blocks plus 1.
        generator_channels: what the table of the generator's widths multiplies ("ch", 96 in the paper).
        discriminator_channels: what the table of the discriminator's widths multiplies ("ch", 96 in the paper).
        attention_resolutions: sizes of the features behind which both networks have self-attention.
        shared_embedding: one embedding of the class for all normalizations; without it each has tables of its own.
        embedding_dim: size of the shared embedding.
        hierarchical_latents: each block gets a chunk of the latent; without them the first layer gets the whole.
        generator_spectral_norm: of all layers but the shared embedding and the tables.
        discriminator_spectral_norm: of all layers.
        initialization: of both networks' weights; None is orthogonal.
        batch_norm_eps: of the blocks' normalizations; the generator's last one always has 1e-5.
        batch_norm_across_ranks: take the batch's statistics over all ranks.

    Raises:
        ValueError: for sizes that do not go together.
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
                attention_resolutions=attention_resolutions,
                spectral_norm=discriminator_spectral_norm,
                initialization=initialization,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=[*unsaved_arguments(), "initialization"])  # weights know how they began
        self.image_size = image_size

    def truncated(self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float) -> Images:
        """See `layers.truncated_normal.truncated_latents`."""
        images: Images = network(truncated_latents(latents, truncation=truncation), labels)
        return images
