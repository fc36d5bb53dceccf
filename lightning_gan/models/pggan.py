"""PGGAN, "Progressive Growing of GANs for Improved Quality, Stability, and Variation".

Karras et al. 2018, arXiv:1710.10196; the networks are those of table 2 in appendix A, as in the authors' TensorFlow
code.

Both networks start at 4x4 and grow. The generator normalizes the features of every pixel, and has no activation at its
output. With classes, labels are concatenated to the latent, and the discriminator predicts the class (AC-GAN).

We train each stage at its own resolution. The authors upscale all images to the full size first, which changes only the
scale of gradients with respect to images (`Turn.gradient_scale`).
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
from lightning_gan.layers.normalization import MinibatchStddev, PixelNorm
from lightning_gan.layers.progressive import GrowingGenerator, GrowingSizes
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents


class FirstBlock(nn.Module):
    """The generator's block at 4x4: a fully connected layer, then one 3x3 convolution.

    Args:
        inputs: Size of the input vector.
        channels: Number of feature maps.
        epilogue: Module that follows both layers.
    """

    def __init__(self, *, inputs: int, channels: int, epilogue: nn.Module) -> None:
        super().__init__()
        self.epilogue = epilogue
        self.dense = EqualizedLinear(inputs, channels * 16, gain=math.sqrt(2) / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels))  # one per feature map, not one per pixel
        self.conv = EqualizedConv2d(channels, channels, kernel_size=3)

    def forward(self, latents: Tensor) -> Tensor:
        """`batch inputs -> batch channels 4 4`."""
        features = self.dense(latents).unflatten(1, (-1, 4, 4)) + self.bias[:, None, None]
        output: Tensor = self.epilogue(self.conv(self.epilogue(features)))
        return output


class GeneratorBlock(nn.Module):
    """A block of the generator: it doubles the resolution, by nearest-neighbour upsampling, and has two convolutions.

    Args:
        in_channels: Number of feature maps of the input.
        out_channels: Number of feature maps of the output.
        epilogue: Module that follows both convolutions.
    """

    def __init__(self, *, in_channels: int, out_channels: int, epilogue: nn.Module) -> None:
        super().__init__()
        self.epilogue = epilogue
        self.conv0_up = UpsamplingConv2d(in_channels, out_channels)
        self.conv1 = EqualizedConv2d(out_channels, out_channels, kernel_size=3)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels 2*height 2*width`."""
        output: Tensor = self.epilogue(self.conv1(self.epilogue(self.conv0_up(features))))
        return output


class Generator(GrowingGenerator):
    """Maps latents, concatenated with labels, to images. Every resolution has its own projection to RGB.

    The other arguments are described in `PGGAN`.

    Args:
        normalizes_latents: Whether the input vector (latent and label) is divided by its root mean square (pixel norm).
        normalizes_features: Whether pixel norm follows every layer.
        pixel_norm_eps: Number that pixel norm adds to the mean square; 1e-4 in the authors' half-precision networks.
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
        # Activation and normalization after every layer (section 4.2).
        pixel_norm = PixelNorm(eps=pixel_norm_eps)
        epilogue = nn.Sequential(nn.LeakyReLU(0.2, inplace=True), *([pixel_norm] if normalizes_features else []))
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
        """`batch latent_dim` to images of the active resolution in about [-1, 1].

        Labels are class indices or multi-hot rows; they are needed if the network has classes.
        """
        if self.number_of_classes:
            assert labels is not None
            vectors = label_vectors(labels, number_of_classes=self.number_of_classes)
            latents = torch.cat([latents, vectors.to(latents.dtype)], dim=1)
        features = before = self.first(self.normalization(latents))
        for block in self.blocks[: stage_of(self.resolution)]:
            before, features = features, block(features)
        return self.project(features, before=before)


class DiscriminatorBlock(nn.Module):
    """A block of the discriminator: two convolutions, and half the resolution.

    The other argument is described in `PGGAN`.

    Args:
        in_channels: Number of feature maps of the input.
        out_channels: Number of feature maps of the output.
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
        """`batch in_channels height width -> batch out_channels height/2 width/2`."""
        features = leaky_relu(self.conv0(features), 0.2, inplace=True)
        features = leaky_relu(self.conv1_down(features), 0.2, inplace=True)
        return box_downsample(features, factor=2) if self.activation_before_downsampling else features


class Discriminator(GrowingDiscriminator):
    """Maps images of the active resolution to a score, and to one logit per class.

    The arguments are described in `PGGAN`.
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
            minibatch_stddev=MinibatchStddev(group_size=minibatch_stddev_group),
        )

    def forward(self, images: Images) -> Tensor:
        """Images in [-1, 1] to `batch 1 + classes`: the score, then the class logits."""
        return self.judge(images)


class PGGAN(AuxiliaryClassifierGAN):
    """PGGAN with the settings of the authors' code as defaults.

    The default loss is `Wasserstein`. With the callbacks `GradientPenalty` and `Drift` it is the authors' loss. Add the
    callbacks `ProgressiveGrowing` and `EMA`, too.

    Args:
        image_size: Full height and width of the images in pixels, a power of two from 4 to 1024.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        channel_base: Numerator of the number of feature maps, which is `2 * channel_base / resolution`, up to
            `channel_max`.
        channel_max: Largest number of feature maps at any resolution.
        minibatch_stddev_group: Number of samples per group of the minibatch standard deviation; 4 in the authors'
            TensorFlow code, the whole batch in the paper's.
        activation_before_downsampling: False halves the resolution within the second convolution of a discriminator's
            block, before its leaky ReLU, as the authors' TensorFlow code does by default. True halves it after the
            leaky ReLU, as the Theano code of the paper does, and the TensorFlow code with `fused_scale=False`. The
            weights have the same shapes, and the results differ.
        auxiliary_classifier: Weights of the cross-entropies of the predicted classes. They have no effect without
            classes.

    Raises:
        ValueError: for a size that is not a power of two from 4.
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
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            channel_base=channel_base,
            channel_max=channel_max,
            minibatch_stddev_group=minibatch_stddev_group,
        )
        check_at_least(0, number_of_classes=number_of_classes)
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
