"""PGGAN, "Progressive Growing of GANs for Improved Quality, Stability, and Variation".

Karras et al. 2018, arXiv:1710.10196; the networks are table 2 of appendix A, as in the authors' TensorFlow code.

Both networks start at 4x4 and grow. The generator normalizes every pixel's features, and its images are not bounded.
With labels, they stand beside the latent, and the discriminator classifies (AC-GAN).

We train each stage at its own resolution; the authors upscale everything to the full size first, which changes nothing
but the scale of image gradients (`Turn.gradient_scale`).
"""

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers import (
    DownsamplingConv2d,
    EqualizedConv2d,
    EqualizedLinear,
    GrowingDiscriminator,
    UpsamplingConv2d,
    box_downsample,
    label_vectors,
    stage_of,
)
from lightning_gan.layers.normalization import PixelNorm
from lightning_gan.layers.progressive import GrowingGenerator, GrowingSizes
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.shapes import Images, Labels, Latents


class FirstBlock(nn.Module):
    """4x4: the latent through a fully connected layer, then one convolution."""

    def __init__(self, *, inputs: int, channels: int, epilogue: nn.Module) -> None:
        super().__init__()
        self.epilogue = epilogue
        self.dense = EqualizedLinear(inputs, channels * 16, gain=math.sqrt(2) / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels))  # one per feature map, not one per pixel
        self.conv = EqualizedConv2d(channels, channels, kernel_size=3)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.dense(latents).unflatten(1, (-1, 4, 4)) + self.bias[:, None, None]
        output: Tensor = self.epilogue(self.conv(self.epilogue(features)))
        return output


class GeneratorBlock(nn.Module):
    """Twice the resolution, and two convolutions."""

    def __init__(self, *, in_channels: int, out_channels: int, epilogue: nn.Module) -> None:
        super().__init__()
        self.epilogue = epilogue
        self.conv0_up = UpsamplingConv2d(in_channels, out_channels)
        self.conv1 = EqualizedConv2d(out_channels, out_channels, kernel_size=3)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.epilogue(self.conv1(self.epilogue(self.conv0_up(features))))
        return output


class Generator(GrowingGenerator):
    """Latents, and labels beside them, to images; every resolution has its own projection to RGB.

    Arguments that are not listed are as in `PGGAN`.

    Args:
        normalizes_latents: whether pixel norm puts the input, latent and label, on a sphere.
        normalizes_features: whether pixel norm follows every layer.
        pixel_norm_eps: added to the mean square; the authors' half-precision networks have 1e-4.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        channel_base: int,
        channel_max: int,
        normalizes_latents: bool = True,
        normalizes_features: bool = True,
        pixel_norm_eps: float = 1e-8,
    ) -> None:
        sizes = GrowingSizes(
            image_size=image_size, image_channels=image_channels, channel_base=channel_base, channel_max=channel_max
        )
        # What follows every layer (section 4.2).
        pixel_norm = PixelNorm(eps=pixel_norm_eps)
        epilogue = nn.Sequential(nn.LeakyReLU(0.2), *([pixel_norm] if normalizes_features else []))
        super().__init__(
            sizes=sizes,
            first=FirstBlock(inputs=latent_dim + number_of_classes, channels=sizes.channels[0], epilogue=epilogue),
            blocks=[
                GeneratorBlock(in_channels=before, out_channels=after, epilogue=epilogue)
                for before, after in pairwise(sizes.channels)
            ],
        )
        self.number_of_classes = number_of_classes
        self.normalization: nn.Module = pixel_norm if normalizes_latents else nn.Identity()

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """Images of the active resolution; labels, if the network has classes, are indices or multi-hot rows."""
        if self.number_of_classes:
            assert labels is not None
            vectors = label_vectors(labels, number_of_classes=self.number_of_classes)
            latents = torch.cat([latents, vectors.to(latents.dtype)], dim=1)
        features = before = self.first(self.normalization(latents))
        for block in self.blocks[: stage_of(self.resolution)]:
            before, features = features, block(features)
        return self.project(features, before=before)


class DiscriminatorBlock(nn.Module):
    """Two convolutions, and half the resolution.

    Arguments that are not listed are as in `PGGAN`.

    Args:
        in_channels: feature maps at the resolution.
        out_channels: feature maps at half of it.
    """

    def __init__(self, *, in_channels: int, out_channels: int, activation_before_downsampling: bool) -> None:
        super().__init__()
        self.activation_before_downsampling = activation_before_downsampling
        self.conv0 = EqualizedConv2d(in_channels, in_channels, kernel_size=3)
        self.conv1_down: EqualizedConv2d = (
            EqualizedConv2d(in_channels, out_channels, kernel_size=3)
            if activation_before_downsampling
            else DownsamplingConv2d(in_channels, out_channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        features = leaky_relu(self.conv0(features), 0.2)
        features = leaky_relu(self.conv1_down(features), 0.2)
        return box_downsample(features, factor=2) if self.activation_before_downsampling else features


class Discriminator(GrowingDiscriminator):
    """Images of the active resolution to a score, and to one logit per class.

    Arguments are as in `PGGAN`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        channel_base: int,
        channel_max: int,
        minibatch_stddev_group: int,
        activation_before_downsampling: bool,
    ) -> None:
        sizes = GrowingSizes(
            image_size=image_size, image_channels=image_channels, channel_base=channel_base, channel_max=channel_max
        )
        super().__init__(
            sizes=sizes,
            blocks=[
                DiscriminatorBlock(
                    in_channels=here,
                    out_channels=below,
                    activation_before_downsampling=activation_before_downsampling,
                )
                for below, here in pairwise(sizes.channels)
            ],
            outputs=1 + number_of_classes,
            minibatch_stddev_group=minibatch_stddev_group,
        )

    def forward(self, images: Images) -> Tensor:
        """`batch 1 + classes`: the score, then the class logits."""
        return self.judge(images)


class PGGAN(AuxiliaryClassifierGAN):
    """PGGAN with the settings of the authors' code as defaults.

    Its own loss is `Wasserstein`, which is the authors' with `GradientPenalty` and `Drift` among the callbacks; add
    `ProgressiveGrowing` and `EMA`.

    Args:
        image_size: full resolution, a power of two from 4 to 1024.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.
        minibatch_stddev_group: samples per group of the minibatch standard deviation; 4 in the authors' TensorFlow
            code, the whole batch in the paper's.
        activation_before_downsampling: False halves the resolution within the second convolution of a discriminator's
            block, before its leaky ReLU, as the authors' TensorFlow code does by default; True halves it after the
            leaky ReLU, as the Theano code of the paper does, and the TensorFlow code with `fused_scale=False`. The
            weights have the same shapes, and the results differ.
        auxiliary_classifier: weights of the classification of images, if there are classes.

    Raises:
        ValueError: for a size that is no power of two.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Wasserstein

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 512,
        channel_base: int = 8192,
        channel_max: int = 512,
        minibatch_stddev_group: int = 4,
        activation_before_downsampling: bool = False,
        auxiliary_classifier: AuxiliaryClassifier = AuxiliaryClassifier(),
        training: Training = Training(),
    ) -> None:
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                channel_base=channel_base,
                channel_max=channel_max,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                channel_base=channel_base,
                channel_max=channel_max,
                minibatch_stddev_group=minibatch_stddev_group,
                activation_before_downsampling=activation_before_downsampling,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.image_size = image_size
        self.auxiliary_classifier = auxiliary_classifier
