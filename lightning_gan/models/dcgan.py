"""DCGAN, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks".

Radford et al. 2016, arXiv:1511.06434. With labels it is the conditional GAN of Mirza and Osindero 2014
(arXiv:1411.1784), or, with an auxiliary classifier, the AC-GAN of Odena et al. 2017 (arXiv:1610.09585) on the same
networks.

Layers are those of the authors' Torch code (`dcgan.torch`): 4x4 kernels, Gaussian latents, 64 feature maps. Their first
code (Theano) has 5x5 kernels, a fully connected layer at 4x4, uniform latents and 128 maps. Batch norm keeps running
statistics with momentum 0.1, the default of Torch, for sampling. The generator's turn draws its own latents; the
authors' judges the fakes of the discriminator's turn again.
"""

from itertools import pairwise

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_gan.layers import label_vectors
from lightning_gan.layers.batch_norm import BatchNorm, ChannelAffine
from lightning_gan.layers.growing import doublings
from lightning_gan.loop.gan import GAN, unsaved_arguments
from lightning_gan.loop.settings import Loop
from lightning_gan.losses import AdversarialLoss
from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier, AuxiliaryClassifierGAN
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


def initialize(layer: nn.Module) -> None:
    """Weights from N(0, 0.02), those of batch norm from N(1, 0.02), biases 0 (section 4 of the paper, Torch code)."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, std=0.02)
    if isinstance(layer, ChannelAffine):
        nn.init.normal_(layer.gain, mean=1.0, std=0.02)


class Generator(nn.Module):
    """Latents, and a one-hot label beside them, to images: a transposed convolution for every doubling.

    Args:
        image_size: a power of two from 8; the paper has 64.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        width: feature maps before the last layer; doubled with every halving down to 4x4.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 100,
        width: int = 64,
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
                nn.Sequential(layer, BatchNorm(features), nn.ReLU())
                for layer, features in zip(layers[:-1], widths, strict=True)
            ]
        )
        self.to_image = layers[-1]
        self.apply(initialize)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        if self.number_of_classes:
            assert labels is not None
            latents = torch.cat([latents, label_vectors(labels, number_of_classes=self.number_of_classes)], dim=1)
        images: Tensor = self.to_image(self.blocks(latents[:, :, None, None])).tanh()
        return images


class Discriminator(nn.Module):
    """Images, and a constant map per class beside them, to `outputs` numbers each: a convolution for every halving.

    Args:
        image_size: a power of two from 8; the paper has 64.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        width: feature maps after the first layer; doubled with every halving.
        outputs: 1 logit, and logits of classes for an auxiliary classifier.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        width: int = 64,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        widths = [width * 2**stage for stage in range(doublings(image_size))]  # at image_size / 2 ... 4
        blocks: list[nn.Module] = []
        for before, after in pairwise([image_channels + number_of_classes, *widths]):
            blocks.append(nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=False))
            if len(blocks) > 1:  # none on the first layer: the paper found it unstable
                blocks.append(BatchNorm(after))
            blocks.append(nn.LeakyReLU(0.2))
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(widths[-1], outputs, kernel_size=4, bias=False)
        self.apply(initialize)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, `batch outputs`, without the paper's sigmoid, which is a part of the loss here."""
        if self.number_of_classes:
            assert labels is not None
            chosen = label_vectors(labels, number_of_classes=self.number_of_classes)[:, :, None, None]
            images = torch.cat([images, chosen.to(images).expand(-1, -1, *images.shape[2:])], dim=1)
        logits: Tensor = self.last(self.blocks(images)).flatten(1)
        return logits


class DCGAN(GAN):
    """DCGAN with the paper's networks as defaults; its optimizers are Adam with 0.0002 and betas (0.5, 0.999).

    With classes both networks see the label: the generator beside the latent, the discriminator as constant maps beside
    the image (Mirza and Osindero 2014).

    Args:
        image_size: a power of two from 8; the paper has 64.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        generator_width: feature maps before the generator's last layer; the Theano code has 128.
        discriminator_width: feature maps after the discriminator's first layer.
        loss: the objective; None is the non-saturating one.
        generator_optimizer: makes the generator's optimizer from its parameters.
        discriminator_optimizer: makes the discriminator's optimizer.
        loop: how the players alternate.
        seed: of latents.
    """

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
        loss: AdversarialLoss | None = None,
        generator_optimizer: OptimizerCallable = GANAdam,
        discriminator_optimizer: OptimizerCallable = GANAdam,
        loop: Loop = Loop(),
        seed: int = 0,
    ) -> None:
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
                number_of_classes=number_of_classes,
                width=discriminator_width,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            loss=loss,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            loop=loop,
            seed=seed,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())


class AuxiliaryClassifierDCGAN(AuxiliaryClassifierGAN):
    """DCGAN whose discriminator names the class instead of being told it (AC-GAN; Odena et al. 2017).

    Their own networks are deeper at 128x128 and have dropout; the objective is theirs.

    Args:
        image_size: a power of two from 8.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels, which makes it a `DCGAN`.
        latent_dim: size of z.
        generator_width: feature maps before the generator's last layer.
        discriminator_width: feature maps after the discriminator's first layer.
        auxiliary_classifier: weights of the cross-entropies.
        loss: the objective; None is the non-saturating one.
        generator_optimizer: makes the generator's optimizer from its parameters.
        discriminator_optimizer: makes the discriminator's optimizer.
        loop: how the players alternate.
        seed: of latents.
    """

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
        auxiliary_classifier: AuxiliaryClassifier = AuxiliaryClassifier(),
        loss: AdversarialLoss | None = None,
        generator_optimizer: OptimizerCallable = GANAdam,
        discriminator_optimizer: OptimizerCallable = GANAdam,
        loop: Loop = Loop(),
        seed: int = 0,
    ) -> None:
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
                width=discriminator_width,
                outputs=1 + number_of_classes,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            loss=loss,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            loop=loop,
            seed=seed,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.auxiliary_classifier = auxiliary_classifier
