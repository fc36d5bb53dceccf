"""BigGAN-deep, from the later version of "Large Scale GAN Training for High Fidelity Natural Image Synthesis".

Brock et al. 2019, arXiv:1809.11096v2, appendix B, figure 16; layers as in BigGAN-PyTorch, the authors' public code.

It is BigGAN with two bottleneck blocks for each resolution. Shortcuts have weights only where a block of the
discriminator adds channels. The networks are deeper than BigGAN's and have fewer parameters. Every batch normalization
of the generator's blocks gets the class embedding and the whole latent.

The authors find it better than BigGAN at every resolution, and faster. Their published networks differ in two details
that `interop.biggan_deep_hf` reproduces: the last convolution has `base_channels` outputs, of which the first
`image_channels` are used, and batch normalization has separate statistics for each truncation.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.batch_norm import BatchNorm, VectorAffine
from lightning_gan.layers.initialization import Initialization, Orthogonal, initialize
from lightning_gan.layers.projection import ClassEmbedding, ProjectionHead
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.layers.resampling_convolutions import UpsampledConv2d
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge
from lightning_gan.models.biggan import BOTTOM, DISCRIMINATOR_WIDTHS, GENERATOR_WIDTHS, check_sizes, keeps_resolution
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


def check_base(base_channels: int) -> None:
    """Checks that the base channels can be divided by 4, as the bottleneck blocks need it.

    Raises:
        ValueError: if they are not a positive multiple of 4.
    """
    if base_channels < 4 or base_channels % 4:
        raise ValueError(
            f"the base of {base_channels} channels must be a multiple of 4, because bottlenecks have a quarter of them"
        )


class GeneratorBlock(nn.Module):
    """A bottleneck block of four convolutions with a quarter of the channels (figure 16b).

    The shortcut has no weights: it keeps the first `out_channels` channels.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output, at most `in_channels`.
        upsamples: Whether the block doubles the resolution.
        norm: Makes a batch normalization for the given number of channels.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        upsamples: bool,
        norm: Callable[[int], BatchNorm],
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.upsamples = upsamples
        hidden = in_channels // 4
        self.norm1, self.norm2, self.norm3, self.norm4 = norm(in_channels), norm(hidden), norm(hidden), norm(hidden)
        self.conv1 = nn.Conv2d(in_channels, hidden, kernel_size=1)
        self.conv2 = UpsampledConv2d(hidden, hidden) if upsamples else nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(hidden, out_channels, kernel_size=1)
        self.attention: SelfAttention | None = None

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """`batch in_channels height width`, and `batch condition`, to `batch out_channels height width`, upsampled."""
        residual = self.conv1(relu(self.norm1(features, condition), inplace=True))
        residual = self.conv2(relu(self.norm2(residual, condition), inplace=True))
        residual = self.conv3(relu(self.norm3(residual, condition), inplace=True))
        residual = self.conv4(relu(self.norm4(residual, condition), inplace=True))
        kept = features[:, : self.out_channels]
        features = residual + (nearest_upsample(kept, factor=2) if self.upsamples else kept)
        return features if self.attention is None else self.attention(features)


class Generator(nn.Module):
    """Maps latents, and labels if there are classes, to images.

    The arguments are described in `BigGANDeep`; `base_channels` and `spectral_norm` are called `generator_channels` and
    `generator_spectral_norm` there.

    Raises:
        ValueError: for an image size without a table, attention at a resolution that the network does not have, and
            base channels that are not a multiple of 4.
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
        embedding_dim: int,
        spectral_norm: bool,
        initialization: Initialization | None,
        batch_norm_eps: float,
        batch_norm_across_ranks: bool,
    ) -> None:
        super().__init__()
        check_sizes(image_size=image_size, attention_resolutions=attention_resolutions)
        check_base(base_channels)
        channels = [base_channels * width for width in GENERATOR_WIDTHS[image_size]]
        self.embedding = ClassEmbedding(number_of_classes, embedding_dim) if number_of_classes else None
        condition_dim = latent_dim + (embedding_dim if number_of_classes else 0)
        self.linear = nn.Linear(condition_dim, channels[0] * BOTTOM**2)

        def norm(of: int) -> BatchNorm:
            affine = VectorAffine(of, condition_dim=condition_dim)
            return BatchNorm(of, affine=affine, eps=batch_norm_eps, across_ranks=batch_norm_across_ranks)

        self.blocks = nn.ModuleList()
        for stage, (before, after) in enumerate(pairwise(channels)):
            for out, upsamples in ((before, False), (after, True)):
                block = GeneratorBlock(in_channels=before, out_channels=out, upsamples=upsamples, norm=norm)
                if upsamples and BOTTOM * 2 ** (stage + 1) in attention_resolutions:
                    block.attention = SelfAttention(out)
                self.blocks.append(block)
        self.norm = BatchNorm(channels[-1], across_ranks=batch_norm_across_ranks)
        self.to_rgb = nn.Conv2d(channels[-1], image_channels, kernel_size=3, padding=1)
        initialize(self, Orthogonal() if initialization is None else initialization)
        if spectral_norm:
            spectrally_normalized(self, excluded=("embedding",) if number_of_classes else ())

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        condition = latents
        if self.embedding is not None:
            condition = torch.cat([self.embedding(labels).to(latents.dtype), latents], dim=1)
        features: Tensor = self.linear(condition).unflatten(1, (-1, BOTTOM, BOTTOM))
        for block in self.blocks:
            features = block(features, condition)
        images: Tensor = self.to_rgb(relu(self.norm(features), inplace=True))
        return images.tanh()


class DiscriminatorBlock(nn.Module):
    """A bottleneck block of four convolutions (figure 16c).

    The shortcut keeps all channels of the input, and a 1x1 convolution computes the additional ones.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output, at least `in_channels`.
        downsamples: Whether the block halves the resolution.
    """

    def __init__(self, *, in_channels: int, out_channels: int, downsamples: bool) -> None:
        super().__init__()
        self.downsamples = downsamples
        hidden, new = out_channels // 4, out_channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, hidden, kernel_size=1)
        self.conv2 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(hidden, out_channels, kernel_size=1)
        self.shortcut = nn.Conv2d(in_channels, new, kernel_size=1) if new else None
        self.attention: SelfAttention | None = None

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width` to `batch out_channels height width`, downsampled if the block does so."""
        residual = relu(self.conv1(relu(features)), inplace=True)
        residual = relu(self.conv2(residual), inplace=True)
        residual = relu(self.conv3(residual), inplace=True)
        if self.downsamples:
            residual, features = avg_pool2d(residual, kernel_size=2), avg_pool2d(features, kernel_size=2)
        if self.shortcut is not None:
            features = torch.cat([features, self.shortcut(features)], dim=1)
        features = self.conv4(residual) + features
        return features if self.attention is None else self.attention(features)


class Discriminator(nn.Module):
    """Maps images, and labels if there are classes, to one logit each.

    The arguments are described in `BigGANDeep`; `base_channels` and `spectral_norm` are called `discriminator_channels`
    and `discriminator_spectral_norm` there.

    Raises:
        ValueError: for an image size without a table, attention at a resolution that the network does not have, and
            base channels that are not a multiple of 4.
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
        check_base(base_channels)
        channels = [base_channels * width for width in DISCRIMINATOR_WIDTHS[image_size]]
        self.from_rgb = nn.Conv2d(image_channels, channels[0], kernel_size=3, padding=1)
        self.blocks = nn.ModuleList()
        resolution = image_size
        for stage, (before, after) in enumerate(pairwise(channels)):
            downsamples = not keeps_resolution(image_size, block=stage)
            resolution = resolution // 2 if downsamples else resolution
            first = DiscriminatorBlock(in_channels=before, out_channels=after, downsamples=downsamples)
            second = DiscriminatorBlock(in_channels=after, out_channels=after, downsamples=False)
            if resolution in attention_resolutions:
                second.attention = SelfAttention(after)
            self.blocks.extend([first, second])
        self.head = ProjectionHead(channels[-1], number_of_classes=number_of_classes)
        initialize(self, Orthogonal() if initialization is None else initialization)
        if spectral_norm:
            spectrally_normalized(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features: Tensor = self.from_rgb(images)
        for block in self.blocks:
            features = block(features)
        logits: Logits = self.head(features, labels)
        return logits


class BigGANDeep(GAN):
    """BigGAN-deep with the paper's settings as defaults; add `EMA`, `StandingStatistics` and `OrthogonalGenerator`.

    The default loss is `Hinge`.

    Args:
        image_size: Height and width of the images in pixels: 32, 64, 128, 256 or 512. The authors' public code has no
            discriminator for 512; the one here mirrors the generator.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels, and without projection in the discriminator.
        latent_dim: Size of the latent z.
        generator_channels: Base channels of the generator ("ch", 128 in the paper), a multiple of 4: the table of its
            widths is multiplied by this number.
        discriminator_channels: Base channels of the discriminator, a multiple of 4: the table of its widths is
            multiplied by this number.
        attention_resolutions: Heights of the features that are followed by self-attention in both networks. An empty
            list has no self-attention.
        embedding_dim: Size of the class embedding.
        generator_spectral_norm: Whether the generator has spectral normalization, in all layers except the class
            embedding.
        discriminator_spectral_norm: Whether the discriminator has spectral normalization, in all layers.
        initialization: How the weights of both networks are initialized. None initializes them orthogonally.
        batch_norm_eps: Epsilon of the batch normalizations in the generator's blocks. The generator's last batch
            normalization always has 1e-5.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for an image size without a table, attention at a resolution that the networks do not have, and
            base channels that are not a multiple of 4.
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
        latent_dim: int = 128,
        generator_channels: int = 128,
        discriminator_channels: int = 128,
        attention_resolutions: tuple[int, ...] = (64,),
        embedding_dim: int = 128,
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
                embedding_dim=embedding_dim,
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
