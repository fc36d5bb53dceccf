"""The residual networks of "Which Training Methods for GANs do actually Converge?", the paper of the R1 penalty.

Mescheder et al. 2018, arXiv:1801.04406, appendix; layers as in the authors' code, `GAN_stability`.

No normalization anywhere: R1 alone lets them converge, up to 1024x1024 without growing. Residual branches count a
tenth. The generator sees the label's embedding, divided by its norm, beside the latent; the discriminator has a logit
per class, of which the label picks one. Without classes the authors' code has one class, whose embedding is learned
like a bias, and so has ours.

The authors add uniform noise of width 1/128 to real images; we do not.
"""

from torch import nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.r1_resnet import (
    Architecture,
    Critic,
    Generator,
    ResidualBlock,
    ResNet,
    ResNet2,
    ResNet3,
    ResNet4,
)
from lightning_gan.loop.gan import GAN, unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.shapes import Images, Labels, Logits

__all__ = [
    "Architecture",
    "Discriminator",
    "Generator",
    "R1ResNet",
    "ResNet",
    "ResNet2",
    "ResNet3",
    "ResNet4",
    "ResidualBlock",
]


class Discriminator(Critic):
    """Images to the label's logit; 3x3 averages of stride 2 between resolutions.

    Arguments are as in `R1ResNet`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        width: int,
        width_max: int,
        architecture: Architecture,
    ) -> None:
        blocks = architecture.blocks(image_size=image_size, width=width, width_max=width_max)
        super().__init__(
            blocks=blocks,
            kernel_size=architecture.image_kernel_size,
            image_channels=image_channels,
            number_of_classes=number_of_classes,
            width=width,
        )
        self.output = nn.Linear(self.channels * blocks.lowest_resolution**2, max(number_of_classes, 1))

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, `batch 1`."""
        return self.of_labels(self.output(leaky_relu(self.features(images), 0.2).flatten(1)), labels)


class R1ResNet(GAN):
    """The R1 paper's networks; add `R1` and `EMA` as callbacks.

    The authors' optimizers are RMSprop with 0.0001, their penalty is `R1(gamma=20)` (10 in their code, which has no
    1/2), their average `EMA` with a half-life of 692 batches (a decay of 0.999).

    Args:
        image_size: a power of two from 8.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        label_dim: size of a label's embedding; 1 in the authors' settings without classes.
        width: feature maps at the images' size; doubled with every halving,
        width_max: but no more than this (by `ResNet`; the others have their own tables).
        architecture: which blocks there are: `ResNet`, `ResNet2`, `ResNet3` or `ResNet4`.

    Raises:
        ValueError: for a size that the architecture cannot halve, and a width above `width_max`.
    """

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 256,
        label_dim: int = 256,
        width: int = 64,
        width_max: int = 1024,
        architecture: Architecture = ResNet(),
        training: Training = Training(),
    ) -> None:
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                label_dim=label_dim,
                width=width,
                width_max=width_max,
                architecture=architecture,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                width=width,
                width_max=width_max,
                architecture=architecture,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("architecture"))
