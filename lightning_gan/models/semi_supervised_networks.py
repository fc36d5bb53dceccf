"""The networks of CT-GAN for few labels (Wei et al. 2018, arXiv:1803.01541), as in the authors' script CT_CIFAR.py.

They are those of "Improved Techniques for Training GANs" (Salimans et al. 2016, arXiv:1606.03498) with other widths.
"""

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lightning_gan.layers.batch_norm import Affine, BatchNorm
from lightning_gan.layers.dropout import Dropout
from lightning_gan.layers.growing import doublings
from lightning_gan.tensors.shapes import Features, Images, Labels, Latents, Logits

INITIAL_STANDARD_DEVIATION = 0.05
"""Of all weights before their normalization, as in the authors' code."""

SLOPE = 0.2
"""Slope of the leaky ReLUs for negative values."""

HIDDEN_GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""Norm of a hidden unit's weights with which its values have the variance of the layer before (arXiv:1502.01852)."""

OUTPUT_GAIN = 0.1
"""Norm of an output's weights. The authors choose it so that outputs begin with a standard deviation of 0.1."""

LayerT = TypeVar("LayerT", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def started_normally(layer: LayerT) -> LayerT:
    """Draws a layer's weights from N(0, 0.05^2), sets its bias to 0, and returns it."""
    nn.init.normal_(layer.weight, std=INITIAL_STANDARD_DEVIATION)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def weight_normalized(layer: LayerT, *, gain: float, trained: bool) -> LayerT:
    """Weight normalization (Salimans and Kingma 2016, arXiv:1602.07868) with one gain for each output.

    Args:
        layer: The layer to change, which is also returned.
        gain: The value at which all gains start.
        trained: Whether the gains are trained. As in the authors' code they are in the two output layers alone.
    """
    # A transposed convolution has its outputs in the second axis of the weights.
    weight_norm(started_normally(layer), dim=1 if isinstance(layer, nn.ConvTranspose2d) else 0)
    gains = layer.get_parameter("parametrizations.weight.original0")
    nn.init.constant_(gains, gain)
    gains.requires_grad_(trained)
    return layer


class BiasAlone(Affine):
    """A learned bias for each channel, which starts at 0, without a gain. The condition is not used.

    Args:
        channels: Number of channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, condition: Tensor | None) -> tuple[None, Tensor]:
        return None, self.bias


class Generator(nn.Module):
    """Maps latents to images: a fully connected layer to 4x4, then 5x5 transposed convolutions.

    Batch normalization, which has a bias but no gain, and a ReLU follow every layer except the last, which has weight
    normalization. The arguments are described in `SemiSupervisedCTGAN`; `width` is called `generator_width` there.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        self.input = started_normally(nn.Linear(latent_dim, widths[0] * 16, bias=False))
        # Per feature and not per feature map, because it comes before the reshape in the authors' code.
        self.input_norm = BatchNorm(widths[0] * 16, affine=BiasAlone(widths[0] * 16), eps=1e-6)
        self.blocks = nn.Sequential(
            *[
                nn.Sequential(
                    started_normally(doubling(before, after, bias=False)),
                    BatchNorm(after, affine=BiasAlone(after), eps=1e-6),
                    nn.ReLU(inplace=True),
                )
                for before, after in pairwise(widths)
            ]
        )
        self.output = weight_normalized(doubling(widths[-1], image_channels, bias=True), gain=OUTPUT_GAIN, trained=True)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim` to images in [-1, 1]; the labels are not used."""
        features = self.input_norm(self.input(latents)).relu().unflatten(1, (-1, 4, 4))
        images: Tensor = self.output(self.blocks(features)).tanh()
        return images


def doubling(before: int, after: int, *, bias: bool) -> nn.ConvTranspose2d:
    """A 5x5 transposed convolution that doubles height and width.

    Args:
        before: Number of channels of the input.
        after: Number of channels of the output.
        bias: Whether it has a bias.
    """
    return nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1, bias=bias)


def convolution(before: int, after: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """A convolution with weight normalization, followed by leaky ReLU with slope 0.2.

    Args:
        before: Number of channels of the input.
        after: Number of channels of the output.
        kernel_size: Height and width of the kernel in pixels.
        stride: Stride in pixels.
        padding: Zeros that are added on each side in pixels.
    """
    layer = nn.Conv2d(before, after, kernel_size, stride=stride, padding=padding)
    return nn.Sequential(weight_normalized(layer, gain=HIDDEN_GAIN, trained=False), nn.LeakyReLU(SLOPE, inplace=True))


class Discriminator(nn.Module):
    """Maps images to class logits and features: nine convolutions with weight normalization, and dropout.

    The arguments are described in `SemiSupervisedCTGAN`; `width` is called `discriminator_width` there.
    """

    def __init__(self, *, image_channels: int, number_of_classes: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Dropout(0.2),
            convolution(image_channels, width),
            convolution(width, width),
            convolution(width, width, stride=2),
            Dropout(0.5),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            convolution(2 * width, 2 * width, stride=2),
            Dropout(0.5),
            convolution(2 * width, 4 * width, padding=0),
            convolution(4 * width, 2 * width, kernel_size=1, padding=0),
            convolution(2 * width, width, kernel_size=1, padding=0),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.to_classes = weight_normalized(nn.Linear(width, number_of_classes), gain=OUTPUT_GAIN, trained=True)

    def forward(self, images: Images) -> tuple[Logits, Features]:
        """Images in [-1, 1] to class logits `batch classes` and features `batch width`."""
        features: Tensor = self.features(images)
        return self.to_classes(features), features
