"""The small networks of CT-GAN, "Improving the Improved Training of Wasserstein GANs".

Wei et al. 2018, arXiv:1803.01541, for MNIST and for a thousand images of CIFAR-10: three convolutions, each of the
critic's followed by dropout. Without the dropout they are WGAN-GP's small networks (Gulrajani et al. 2017,
arXiv:1704.00028). The paper's large networks are `ResNetGAN` with `discriminator_dropout`.

The paper trains them with the loss `Wasserstein` (the default here), five turns of the critic per turn of the
generator, and the callbacks `GradientPenalty` and `ConsistencyTerm`, for which the second-to-last layer is "features".
Images of MNIST are padded with black to 32x32, so that the authors' cut from 8x8 to 7x7 is not needed.
"""

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.dropout import Dropout
from lightning_gan.layers.growing import doublings
from lightning_gan.layers.residual import started_uniformly
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Wasserstein
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Latents, Logits


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draws uniform weights with variance ``4 / (fan_in + fan_out)``, as in the authors' code, and sets the bias to 0.

    `fan_in` is the number of weights that one output depends on, `fan_out` the number of weights that one input is
    multiplied by; with stride 2 an input is multiplied by a quarter of the kernel.

    Args:
        layer: The layer to change, which must have a bias.
    """
    into, out_of = layer.in_channels, layer.out_channels
    if isinstance(layer, nn.ConvTranspose2d):
        into, out_of = out_of, into  # a transposed convolution exchanges the roles of inputs and outputs
    taps, area = math.prod(layer.kernel_size), math.prod(layer.stride)
    bound = math.sqrt(3 * 4 / (taps * (into + out_of / area)))
    nn.init.uniform_(layer.weight, -bound, bound)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class Generator(nn.Module):
    """Maps latents to images: a linear layer to 4x4, then 5x5 transposed convolutions that double the resolution.

    The arguments are described in `SmallCTGAN`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        self.input = started_uniformly(nn.Linear(latent_dim, widths[0] * 16))
        # Normalization per feature and not per feature map, because it comes before the reshape in the authors' code.
        self.input_norm = BatchNorm(widths[0] * 16, always_batch_statistics=True)
        layers: list[nn.Module] = []
        for before, after in pairwise([*widths, image_channels]):
            layer = nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1)
            initialize(layer)
            layers += [layer, BatchNorm(after, always_batch_statistics=True), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-2], nn.Tanh())

    def forward(self, latents: Latents) -> Images:
        """`batch latent_dim` to images in [-1, 1]."""
        features = self.input_norm(self.input(latents)).relu().unflatten(1, (-1, 4, 4))
        images: Tensor = self.layers(features)
        return images


class Discriminator(nn.Module):
    """Maps images to one score: 5x5 convolutions of stride 2 down to 4x4, each followed by leaky ReLU and dropout.

    The arguments are described in `SmallCTGAN`.
    """

    def __init__(self, *, image_size: int, image_channels: int, width: int, dropout: float) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(doublings(image_size))]
        layers: list[nn.Module] = []
        for before, after in pairwise([image_channels, *widths]):
            layer = nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2)
            initialize(layer)
            layers += [layer, nn.LeakyReLU(0.2, inplace=True), Dropout(dropout)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.output = started_uniformly(nn.Linear(widths[-1] * 16, 1))

    def forward(self, images: Images) -> Logits:
        """Images in [-1, 1] to scores `batch 1`."""
        score: Tensor = self.output(self.features(images))
        return score


class SmallCTGAN(GAN):
    """CT-GAN's small networks; add the callbacks `GradientPenalty` and `ConsistencyTerm`. Labels are not used.

    The default loss is `Wasserstein`. The authors train with Adam at a learning rate of 0.0001 and betas (0.5, 0.9),
    for 50,000 turns of the generator with batches of 64.

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8; 32 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes; it must be 0, because the networks do not use labels.
        latent_dim: Size of the latent z.
        width: Number of feature maps at half of the images' size. It doubles with every halving of the resolution. The
            authors' script for CIFAR-10 has 128, with the comment that it overfits and that 64 is probably better.
            Their script for MNIST has 64.
        dropout: Probability of dropout after every convolution of the critic, in [0, 1). 0 gives WGAN-GP's critic.

    Raises:
        ValueError: for classes, a size that is not a power of two from 8, and a probability outside [0, 1).
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
        width: int = 128,
        dropout: float = 0.5,
        training: Training = Training(),
    ) -> None:
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=width)
        check_at_least(0, number_of_classes=number_of_classes, dropout=dropout)
        if number_of_classes:
            raise ValueError(
                f"number_of_classes={number_of_classes}: CT-GAN's small networks use no labels; set labels: false in "
                "the data, or use ResNetGAN with discriminator_dropout"
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
