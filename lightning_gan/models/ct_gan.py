"""The small networks of CT-GAN, "Improving the Improved Training of Wasserstein GANs".

Wei et al. 2018, arXiv:1803.01541, for MNIST and for a thousand images of CIFAR-10: three convolutions, with dropout
behind each in the critic. But for the dropout they are WGAN-GP's small networks (Gulrajani et al. 2017,
arXiv:1704.00028). The paper's large networks are `ResNetGAN` with `discriminator_dropout`.

They go with the loss `Wasserstein`, which is the default, five turns of the critic, and the callbacks `GradientPenalty`
and `ConsistencyTerm`, whose second-to-last layer is "features". Images are 32x32 for MNIST too, in a black frame, so
that the authors' cut from 8x8 to 7x7 is not needed.
"""

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.growing import doublings
from lightning_gan.layers.residual import started_uniformly
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.tensors.shapes import Images, Latents, Logits


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Uniform weights of variance ``4 / (fan_in + fan_out)``, as in the authors' code; biases 0.

    A fan counts the taps that one output, or one input, meets: of a convolution of stride 2 an input meets a quarter.
    """
    into, out_of = layer.in_channels, layer.out_channels
    if isinstance(layer, nn.ConvTranspose2d):
        into, out_of = out_of, into  # the other way round
    taps, area = math.prod(layer.kernel_size), math.prod(layer.stride)
    bound = math.sqrt(3 * 4 / (taps * (into + out_of / area)))
    nn.init.uniform_(layer.weight, -bound, bound)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class Generator(nn.Module):
    """Latents to images: 5x5 transposed convolutions that double the resolution, from 4x4.

    Arguments are as in `SmallCTGAN`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        self.input = started_uniformly(nn.Linear(latent_dim, widths[0] * 16))
        # Per feature and not per map, as in the authors' code: it comes before the reshape.
        self.input_norm = BatchNorm(widths[0] * 16, always_batch_statistics=True)
        layers: list[nn.Module] = []
        for before, after in pairwise([*widths, image_channels]):
            layer = nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1)
            initialize(layer)
            layers += [layer, BatchNorm(after, always_batch_statistics=True), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-2], nn.Tanh())

    def forward(self, latents: Latents) -> Images:
        features = self.input_norm(self.input(latents)).relu().unflatten(1, (-1, 4, 4))
        images: Tensor = self.layers(features)
        return images


class Discriminator(nn.Module):
    """Images to one score: 5x5 convolutions of stride 2, each with leaky ReLU and dropout, down to 4x4.

    Arguments are as in `SmallCTGAN`.
    """

    def __init__(self, *, image_size: int, image_channels: int, width: int, dropout: float) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(doublings(image_size))]
        layers: list[nn.Module] = []
        for before, after in pairwise([image_channels, *widths]):
            layer = nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2)
            initialize(layer)
            layers += [layer, nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.output = started_uniformly(nn.Linear(widths[-1] * 16, 1))

    def forward(self, images: Images) -> Logits:
        score: Tensor = self.output(self.features(images))
        return score


class SmallCTGAN(GAN):
    """CT-GAN's small networks; add `GradientPenalty` and `ConsistencyTerm` as callbacks. Labels are not used.

    Its own loss is `Wasserstein`. The authors' optimizers are Adam with 0.0001 and betas (0.5, 0.9), for 50,000 turns
    of the generator with batches of 64.

    Args:
        image_size: a power of two from 8; 32 in the paper.
        image_channels: channels of the images.
        number_of_classes: 0.
        latent_dim: size of z.
        width: feature maps next to the image; doubled with every halving.
        dropout: probability behind every convolution of the critic; 0 makes it WGAN-GP's.

    Raises:
        ValueError: for classes, a size that is no power of two, and a probability outside [0, 1).
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Wasserstein

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
        width: int = 64,
        dropout: float = 0.5,
        training: Training = Training(),
    ) -> None:
        if number_of_classes:
            raise ValueError(
                f"number_of_classes={number_of_classes}: CT-GAN's small networks have no labels; set labels: false in "
                "the data, or take ResNetGAN with discriminator_dropout"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must be at least 0 and below 1")
        super().__init__(
            generator=Generator(
                image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=width
            ),
            discriminator=Discriminator(
                image_size=image_size, image_channels=image_channels, width=width, dropout=dropout
            ),
            latent_dim=latent_dim,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
