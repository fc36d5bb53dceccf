"""The networks of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), in the form of StyleGAN2-ADA (arXiv:2006.06676)."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_gan.layers import ClassStddev, MinibatchStddev, stddev_over_samples
from lightning_gan.layers.activated_convolution import ActivatedConv2d, DownsampledSkip, ScaledLeakyReLU
from lightning_gan.layers.binomial_filter import BinomialFilter, BinomialUpsampling
from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.image_sizes import ImageSizes
from lightning_gan.layers.mapping import LabelMapping
from lightning_gan.layers.modulated_convolution import ModulatedConv2d, ToImage
from lightning_gan.models.style_based_gan import Styles
from lightning_gan.tensors.precision import full_precision, without_autocast
from lightning_gan.tensors.shapes import Images, Labels, Logits

RESIDUAL_GAIN = math.sqrt(0.5)
"""Factor of both branches of a residual block, which keeps the variance of their sum (section 4.1)."""


@dataclass(frozen=True, kw_only=True)
class Connections:
    """How the blocks of a network are connected (section 4.1, figure 7).

    With neither, the blocks are a plain chain.

    Args:
        image_skips: Whether every block has an image of its resolution: in the generator all images are added up, in
            the discriminator all blocks are given the image at their resolution.
        residual: Whether every block has a shortcut.

    Raises:
        ValueError: for both.
    """

    image_skips: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        if self.image_skips and self.residual:
            raise ValueError(
                "image_skips=true with residual=true is none of the networks of StyleGAN2; set one of both to false"
            )


class FirstBlock(nn.Module):
    """The block of the lowest resolution: a learned constant and one convolution."""

    def __init__(self, *, sizes: ImageSizes, style_dim: int, clamp: float | None) -> None:
        super().__init__()
        channels = sizes.channels[0]
        self.constant = nn.Parameter(torch.randn(1, channels, *sizes.first))
        self.conv1 = ModulatedConv2d(channels, channels, style_dim=style_dim, size=sizes.first, clamp=clamp)

    def forward(self, style: Tensor, noise: Tensor | None) -> Tensor:
        """A style, `batch style_dim`, and noise (None draws it), to features."""
        # The shape and not `len`, which would fix the batch size of an exported graph.
        features: Tensor = self.conv1(self.constant.expand(style.shape[0], -1, -1, -1), style, noise)
        return features


class SynthesisBlock(nn.Module):
    """A block that doubles the resolution and has two convolutions, and a shortcut if it is residual."""

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int],
        style_dim: int,
        residual: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.conv0 = ModulatedConv2d(
            in_channels, out_channels, style_dim=style_dim, size=size, upsamples=True, clamp=clamp
        )
        gain = RESIDUAL_GAIN if residual else 1.0
        self.conv1 = ModulatedConv2d(out_channels, out_channels, style_dim=style_dim, size=size, gain=gain, clamp=clamp)
        self.skip = (
            nn.Sequential(
                EqualizedConv2d(in_channels, out_channels, kernel_size=1, gain=RESIDUAL_GAIN, bias=False),
                BinomialUpsampling(),
            )
            if residual
            else None
        )

    def forward(self, features: Tensor, styles: Tensor, noises: tuple[Tensor | None, Tensor | None]) -> Tensor:
        """Features, styles `batch 2 style_dim`, and a noise for each, to features of twice the resolution."""
        outputs: Tensor = self.conv0(features, styles[:, 0], noises[0])
        outputs = self.conv1(outputs, styles[:, 1], noises[1])
        return outputs if self.skip is None else outputs + self.skip(features)


class SynthesisNetwork(nn.Module):
    """Maps styles to images.

    The first convolution takes the first style, and every further one the next. A layer to RGB takes the style after
    that of the convolution before it, which the first convolution of the next block takes, too.

    Args:
        sizes: Sizes of the images and of the feature maps.
        style_dim: Size of a style.
        connections: How the blocks are connected.
        clamp: Largest absolute value of features; None does not limit them.
    """

    def __init__(self, *, sizes: ImageSizes, style_dim: int, connections: Connections, clamp: float | None) -> None:
        super().__init__()
        self.sizes = sizes
        self.connections = connections
        self.first = FirstBlock(sizes=sizes, style_dim=style_dim, clamp=clamp)
        self.blocks = nn.ModuleList(
            SynthesisBlock(
                in_channels=before,
                out_channels=after,
                size=sizes.at(block),
                style_dim=style_dim,
                residual=connections.residual,
                clamp=clamp,
            )
            for block, (before, after) in enumerate(pairwise(sizes.channels), start=1)
        )
        of_images = sizes.channels if connections.image_skips else sizes.channels[-1:]
        self.to_images = nn.ModuleList(
            ToImage(channels, sizes.image_channels, style_dim=style_dim, clamp=clamp) for channels in of_images
        )
        self.upsampling = BinomialUpsampling()

    @property
    def active_layers(self) -> int:
        """Number of styles: 18 at 1024x1024, 17 for convolutions and one more for the last layer to RGB."""
        return 2 * self.sizes.doublings + 2

    @property
    def style_resolutions(self) -> list[int]:
        """Heights in pixels at the layers that take a style: 4, 8, 8, 16, 16 ..., and once more that of the images."""
        blocks = [(layer + 1) // 2 for layer in range(self.active_layers - 1)]
        return [self.sizes.at(block)[0] for block in [*blocks, self.sizes.doublings]]

    def forward(
        self, styles: Styles, *, random_noise: bool = True, noisy_layers: Collection[int] | None = None
    ) -> Images:
        """Images in about [-1, 1], without a limit.

        Args:
            styles: Styles w, one for each of the `active_layers`, `batch layers style_dim`.
            random_noise: True draws new noise, False uses the stored noise.
            noisy_layers: Numbers of the layers that get noise, from 0; None is all layers. The last one has none.
        """
        noises = [
            self._noise(layer, random_noise=random_noise, is_noisy=noisy_layers is None or layer in noisy_layers)
            for layer in range(self.active_layers - 1)
        ]
        features = self.first(styles[:, 0], noises[0])
        images: Tensor | None = self.to_images[0](features, styles[:, 1]) if self.connections.image_skips else None
        for index, block in enumerate(self.blocks):
            layer = 2 * index + 1
            features = block(features, styles[:, layer : layer + 2], (noises[layer], noises[layer + 1]))
            if images is not None:
                images = self.upsampling(images) + self.to_images[index + 1](features, styles[:, layer + 2])
        return self.to_images[0](features, styles[:, -1]) if images is None else images

    def _noise(self, layer: int, *, random_noise: bool, is_noisy: bool) -> Tensor | None:
        """A layer's noise. None lets the layer draw it, in the precision of its features."""
        conv = self._convolution(layer)
        if not is_noisy:
            return conv.noise.new_zeros(1, 1, 1, 1)
        return None if random_noise else conv.noise

    def _convolution(self, layer: int) -> ModulatedConv2d:
        name = "first.conv1" if layer == 0 else f"blocks.{(layer - 1) // 2}.conv{(layer - 1) % 2}"
        found = self.get_submodule(name)
        assert isinstance(found, ModulatedConv2d)
        return found


class DiscriminatorBlock(nn.Module):
    """A block that has two convolutions and halves the resolution, and a shortcut if it is residual."""

    def __init__(self, *, in_channels: int, out_channels: int, residual: bool, clamp: float | None) -> None:
        super().__init__()
        gain = RESIDUAL_GAIN if residual else 1.0
        self.conv0 = ActivatedConv2d(in_channels, in_channels, kernel_size=3, clamp=clamp)
        self.conv1 = ActivatedConv2d(in_channels, out_channels, kernel_size=3, downsamples=True, gain=gain, clamp=clamp)
        self.skip = DownsampledSkip(in_channels, out_channels, gain=RESIDUAL_GAIN) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels (height / 2) (width / 2)`."""
        outputs: Tensor = self.conv1(self.conv0(features))
        return outputs if self.skip is None else outputs + self.skip(features)


class LastBlock(nn.Module):
    """The block of the lowest resolution: minibatch standard deviation, one convolution, two fully connected layers."""

    def __init__(
        self, *, sizes: ImageSizes, outputs: int, minibatch_stddev: MinibatchStddev | ClassStddev, clamp: float | None
    ) -> None:
        super().__init__()
        channels = sizes.channels[0]
        self.minibatch_stddev = minibatch_stddev
        self.conv = ActivatedConv2d(channels + 1, channels, kernel_size=3, clamp=clamp)
        self.dense0 = EqualizedLinear(channels * math.prod(sizes.first), channels, gain=1.0)
        self.activation = ScaledLeakyReLU()
        self.dense1 = EqualizedLinear(channels, outputs, gain=1.0)

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        """`batch channels height width -> batch outputs`, in full precision as in the authors' code."""
        with without_autocast(features.device):
            features = self.conv(self.minibatch_stddev(full_precision(features), labels))
            # The order is channels, height, width for every memory format, which the authors' weights require.
            outputs: Tensor = self.dense1(self.activation(self.dense0(features.flatten(1))))
            return outputs


class Discriminator(nn.Module):
    """Maps images to one logit each. With classes it is a projection: the mean product of features and mapped label.

    Args:
        sizes: Sizes of the images and of the feature maps.
        number_of_classes: Number of classes. 0 is without labels.
        connections: How the blocks are connected.
        label_mapping_layers: Number of fully connected layers behind the embedding of a label.
        learning_rate_multiplier: Learning rate of these layers relative to the rest.
        minibatch_stddev_group: Number of samples per group of the minibatch standard deviation; None is the whole
            batch.
        minibatch_stddev_within_classes: Whether this deviation is over the samples of a class; with classes only.
        clamp: Largest absolute value of features; None does not limit them.
    """

    def __init__(
        self,
        *,
        sizes: ImageSizes,
        number_of_classes: int,
        connections: Connections,
        label_mapping_layers: int,
        learning_rate_multiplier: float,
        minibatch_stddev_group: int | None,
        minibatch_stddev_within_classes: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        channels = sizes.channels
        self.connections = connections
        of_images = channels if connections.image_skips else channels[-1:]
        self.from_images = nn.ModuleList(
            ActivatedConv2d(sizes.image_channels, width, kernel_size=1, clamp=clamp) for width in of_images
        )
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(in_channels=here, out_channels=below, residual=connections.residual, clamp=clamp)
            for below, here in pairwise(channels)
        )
        self.halving = BinomialFilter(padding=1, stride=2)
        width = channels[0]
        self.last = LastBlock(
            sizes=sizes,
            outputs=width if number_of_classes else 1,
            minibatch_stddev=stddev_over_samples(
                group_size=minibatch_stddev_group,
                within_classes=minibatch_stddev_within_classes,
                number_of_classes=number_of_classes,
            ),
            clamp=clamp,
        )
        self.label_mapping = (
            LabelMapping(
                number_of_classes=number_of_classes,
                width=width,
                layers=label_mapping_layers,
                learning_rate_multiplier=learning_rate_multiplier,
            )
            if number_of_classes
            else None
        )

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        features: Tensor = self.from_images[-1](images)
        for index in reversed(range(len(self.blocks))):
            features = self.blocks[index](features)
            if self.connections.image_skips:
                images = self.halving(images)
                features = features + self.from_images[index](images)
        outputs: Tensor = self.last(features, labels)
        if self.label_mapping is None:
            return outputs
        assert labels is not None
        vectors: Tensor = self.label_mapping(labels)
        return (outputs * vectors).sum(dim=1, keepdim=True) / math.sqrt(vectors.shape[1])
