"""DCGAN, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks".

Radford et al. 2016, arXiv:1511.06434. With labels it is the conditional GAN of Mirza and Osindero 2014
(arXiv:1411.1784), or, with an auxiliary classifier, the AC-GAN of Odena et al. 2017 (arXiv:1610.09585) on the same
networks.

The layers are those of the authors' Torch code (`dcgan.torch`): 4x4 kernels, Gaussian latents, 64 feature maps. Their
first code (Theano) has 5x5 kernels, a fully connected layer at 4x4, uniform latents and 128 feature maps. Batch
normalization keeps running statistics with momentum 0.1, the default of Torch, for sampling. The generator's turn uses
the images of the discriminator's turn again, as in the authors' code (`training.use_fakes_twice`).
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_gan.layers import label_vectors
from lightning_gan.layers.batch_norm import BatchNorm, ChannelAffine
from lightning_gan.layers.growing import doublings
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


def initialize(layer: nn.Module) -> None:
    """Draws the weights of a layer as in the paper (section 4) and in the Torch code.

    Weights of convolutions come from a normal distribution with mean 0 and standard deviation 0.02, gains of batch
    normalization from one with mean 1 and standard deviation 0.02. Biases of batch normalization stay 0.

    Args:
        layer: Any module; other layers are not changed.
    """
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, std=0.02)
    if isinstance(layer, ChannelAffine):
        nn.init.normal_(layer.gain, mean=1.0, std=0.02)


class Generator(nn.Module):
    """Maps latents, concatenated with one-hot labels, to images, by one transposed convolution for every doubling.

    The arguments are described in `DCGAN`; `width` is called `generator_width` there.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        latent_dim: int,
        width: int,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]  # at 4, 8 ... image_size / 2
        layers = [nn.ConvTranspose2d(latent_dim + number_of_classes, widths[0], kernel_size=4, bias=False)]
        layers += [
            nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, bias=False)
            for before, after in pairwise([*widths, image_channels])
        ]
        self.blocks = nn.Sequential(
            *[
                nn.Sequential(layer, BatchNorm(features), nn.ReLU(inplace=True))
                for layer, features in zip(layers[:-1], widths, strict=True)
            ]
        )
        self.to_image = layers[-1]
        self.apply(initialize)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim`, and labels if there are classes, to images in [-1, 1]."""
        if self.number_of_classes:
            assert labels is not None
            latents = torch.cat([latents, label_vectors(labels, number_of_classes=self.number_of_classes)], dim=1)
        images: Tensor = self.to_image(self.blocks(latents[:, :, None, None])).tanh()
        return images


class Discriminator(nn.Module):
    """Maps images, concatenated with one constant map per class, to numbers, by one convolution for every halving.

    The other arguments are described in `DCGAN`; `width` is called `discriminator_width` there.

    Args:
        outputs: Number of outputs: 1 for the logit alone, or 1 plus the number of classes of an auxiliary classifier.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        width: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        widths = [width * 2**stage for stage in range(doublings(image_size))]  # at image_size / 2 ... 4
        blocks: list[nn.Module] = []
        for before, after in pairwise([image_channels + number_of_classes, *widths]):
            blocks.append(nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=False))
            if len(blocks) > 1:  # no normalization of the first layer: the paper found it unstable
                blocks.append(BatchNorm(after))
            blocks.append(nn.LeakyReLU(0.2, inplace=True))
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(widths[-1], outputs, kernel_size=4, bias=False)
        self.apply(initialize)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch outputs`.

        The loss contains the sigmoid that the paper has at the end of the discriminator.
        """
        if self.number_of_classes:
            assert labels is not None
            chosen = label_vectors(labels, number_of_classes=self.number_of_classes)[:, :, None, None]
            images = torch.cat([images, chosen.to(images).expand(-1, -1, *images.shape[2:])], dim=1)
        logits: Tensor = self.last(self.blocks(images)).flatten(1)
        return logits


class DCGAN(AuxiliaryClassifierGAN):
    """DCGAN with the paper's networks as defaults. The paper's optimizer is Adam with 0.0002 and betas (0.5, 0.999).

    With classes both networks get the label: the generator as a one-hot vector concatenated to the latent, the
    discriminator as constant maps concatenated to the image (Mirza and Osindero 2014). With an auxiliary classifier the
    discriminator does not get the class but predicts it (AC-GAN; Odena et al. 2017). The objective is that of AC-GAN;
    its authors' own networks are deeper at 128x128 and have dropout.

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8; 64 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        generator_width: Number of feature maps before the generator's last layer. It doubles with every halving of the
            resolution down to 4x4. The Theano code has 128.
        discriminator_width: Number of feature maps after the discriminator's first layer. It doubles with every halving
            of the resolution.
        auxiliary_classifier: Weights of the cross-entropies of the classes that the discriminator predicts. None gives
            the discriminator the label instead.

    Raises:
        ValueError: for an `image_size` that is not a power of two from 8.
    """

    uses_fakes_twice: ClassVar[bool] = True

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int = 64,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 100,
        generator_width: int = 64,
        discriminator_width: int = 64,
        auxiliary_classifier: AuxiliaryClassifier | None = None,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            generator_width=generator_width,
            discriminator_width=discriminator_width,
        )
        check_at_least(0, number_of_classes=number_of_classes)
        gets_labels = auxiliary_classifier is None
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                width=generator_width,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes if gets_labels else 0,
                width=discriminator_width,
                outputs=1 if gets_labels else 1 + number_of_classes,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.auxiliary_classifier = auxiliary_classifier
