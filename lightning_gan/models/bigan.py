"""BiGAN, "Adversarial Feature Learning": a GAN with an encoder that learns to invert the generator.

Donahue et al. 2017, arXiv:1605.09782; constants and layers are those of the authors' code. The objective is in
`lightning_gan.models.adversarial_inference`. Here are the paper's perceptrons for permutation-invariant MNIST; the
convolutional networks for ImageNet are in `models/bigan_alexnet.py`.

As in the authors' code:
- latents are uniform in (-1, 1), and codes ``2 sigmoid(a) - 1`` are in (-1, 1), too;
- z is added to every hidden layer of the generator except the first, and z or E(x) to every hidden layer of the
  discriminator except the first, through a linear map before the normalization;
- both players' costs are means of two terms, not sums;
- weight decay leaves the gains of batch normalization alone.

Different from the authors: our players alternate, where they update all networks from the same forward passes. Images
are in [-1, 1], so that the generator ends with ``2 sigmoid(a) - 1`` where theirs, on MNIST, ends with ``sigmoid(a)``.
We leave out their decay of Adam's beta1 by a factor of 1 - 1e-8 per step. Batch normalization has statistics of all
ranks.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.optim import Optimizer

from lightning_gan.layers.batch_norm import BatchNorm, ChannelAffine, NoAffine
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder, Noise
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Latents, Logits, PerSample

WEIGHT_DEVIATION = 0.02
NORM_EPS = 1e-8
LEAK = 0.2


def centred_sigmoid(logits: Tensor) -> Tensor:
    """``2 sigmoid(a) - 1`` of logits a of any shape, in (-1, 1): the authors' output in the range of our images."""
    return (logits / 2).tanh()


def norm(channels: int, *, affine: bool) -> BatchNorm:
    """The authors' batch normalization, with statistics over all ranks.

    Args:
        channels: Number of channels of the features.
        affine: Whether it has a learned gain and bias.
    """
    return BatchNorm(channels, affine=None if affine else NoAffine(), eps=NORM_EPS, across_ranks=True)


class Layer(nn.Module):
    """``leaky_relu(norm(layer(features) + injection(codes)))``, where `injection` is a linear map without bias.

    Args:
        layer: Linear or convolutional layer. Its weights are initialized from N(0, 0.02^2).
        norm: The normalization, or `nn.Identity`.
        slope: Slope of the leaky ReLU for negative values; 0 is a ReLU.
        code_dim: Size of the codes that are added; 0 for none. The weights of `injection` are initialized from
            N(0, (0.02 k^2)^2) for a kernel of k x k, because the layer adds up k^2 values for each channel.
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d,
        *,
        norm: nn.Module,
        slope: float,
        code_dim: int = 0,
    ) -> None:
        super().__init__()
        taps, channels = (
            (1, layer.out_features)
            if isinstance(layer, nn.Linear)
            else (layer.kernel_size[0] * layer.kernel_size[1], layer.out_channels)
        )
        self.layer = layer
        self.injection = nn.Linear(code_dim, channels, bias=False) if code_dim else None
        self.norm = norm
        self.slope = slope
        nn.init.normal_(layer.weight, std=WEIGHT_DEVIATION)
        if self.injection is not None:
            nn.init.normal_(self.injection.weight, std=WEIGHT_DEVIATION * taps)

    def forward(self, features: Tensor, codes: Latents | None = None) -> Tensor:
        """Features `batch channels ...` to features; the mapped codes `batch code_dim` are added at every position."""
        features = self.layer(features)
        if self.injection is not None:
            injected: Tensor = self.injection(codes)
            features = features + (injected if features.dim() == 2 else injected[:, :, None, None])
        return leaky_relu(self.norm(features), self.slope, inplace=True)


class Output(nn.Linear):
    """The last linear layer of a network, without bias.

    Args:
        in_features: Size of the input.
        out_features: Size of the output.
        deviation: Standard deviation of the normal distribution from which the weights are initialized.
    """

    def __init__(self, in_features: int, out_features: int, *, deviation: float = WEIGHT_DEVIATION) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.normal_(self.weight, std=deviation)


class PerceptronGenerator(nn.Module):
    """Maps latents to images by a perceptron with two hidden layers, without biases.

    The arguments are described in `BiGAN` and `Perceptrons`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.first = Layer(nn.Linear(latent_dim, width, bias=False), norm=norm(width, affine=False), slope=0.0)
        self.second = Layer(
            nn.Linear(width, width, bias=False), norm=norm(width, affine=False), slope=0.0, code_dim=latent_dim
        )
        self.to_image = Output(width, image_channels * image_size**2)

    def forward(self, latents: Latents) -> Images:
        """`batch latent_dim` to images in (-1, 1)."""
        pixels: Tensor = self.to_image(self.second(self.first(latents), latents))
        return rearrange(centred_sigmoid(pixels), "batch (c h w) -> batch c h w", h=self.image_size, w=self.image_size)


class PerceptronEncoder(Encoder):
    """Maps images to codes in (-1, 1) by a perceptron with two hidden layers, without biases.

    The first hidden layer has no normalization. The arguments are described in `BiGAN` and `Perceptrons`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        pixels = image_channels * image_size**2
        self.first = Layer(nn.Linear(pixels, width, bias=False), norm=nn.Identity(), slope=LEAK)
        self.second = Layer(nn.Linear(width, width, bias=False), norm=norm(width, affine=False), slope=LEAK)
        self.to_code = Output(width, latent_dim)

    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Images in [-1, 1] to codes `batch latent_dim` in (-1, 1); the noise is not used."""
        codes: Tensor = self.to_code(self.second(self.first(images.flatten(1))))
        return centred_sigmoid(codes)


class PerceptronDiscriminator(nn.Module):
    """Maps images and codes to one logit, which is 0 before training; the code is added to the second hidden layer.

    The arguments are described in `BiGAN` and `Perceptrons`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        pixels = image_channels * image_size**2
        self.first = Layer(nn.Linear(pixels, width, bias=False), norm=nn.Identity(), slope=LEAK)
        self.second = Layer(
            nn.Linear(width, width, bias=False), norm=norm(width, affine=False), slope=LEAK, code_dim=latent_dim
        )
        self.to_logit = Output(width, 1, deviation=0.0)

    def forward(self, images: Images, codes: Latents) -> Logits:
        """Images in [-1, 1] and codes `batch latent_dim` to logits `batch 1`."""
        logits: Tensor = self.to_logit(self.second(self.first(images.flatten(1)), codes))
        return logits


class Architecture(ABC):
    """Makes the three networks of a `BiGAN`. The arguments of its methods are described there."""

    @abstractmethod
    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> nn.Module:
        """A network that maps latents in (-1, 1) to images."""

    @abstractmethod
    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> Encoder:
        """A network that maps images to codes in (-1, 1)."""

    @abstractmethod
    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> nn.Module:
        """A network that maps images and codes to logits."""


@final
@dataclass(frozen=True, kw_only=True)
class Perceptrons(Architecture):
    """The paper's networks for permutation-invariant MNIST, for images of any size. They have no convolutions.

    Args:
        width: Number of units of each hidden layer in all three networks.
    """

    width: int = 1024

    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronGenerator:
        """A perceptron that maps latents in (-1, 1) to images."""
        return PerceptronGenerator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )

    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronEncoder:
        """A perceptron that maps images to codes in (-1, 1)."""
        return PerceptronEncoder(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )

    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronDiscriminator:
        """A perceptron that maps images and codes to logits."""
        return PerceptronDiscriminator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )


class BiGAN(AdversarialInference):
    """BiGAN, by default with the paper's perceptrons for MNIST.

    The authors train with Adam at a learning rate of 0.0002, betas (0.5, 0.999), a weight decay of 2.5e-5 on all
    parameters but the gains of batch normalization, and batches of 128. The learning rate is constant for 200 epochs,
    and falls exponentially to a hundredth over another 200 (`ExponentialDecay`).

    Args:
        image_size: Height and width of the images in pixels; 28 in the paper's experiments on MNIST.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes; it must be 0. The model does not use labels, but callbacks can.
        latent_dim: Size of the latent z: 50 for MNIST, 200 for ImageNet.
        architecture: Makes the three networks. None takes `Perceptrons`; `bigan_alexnet.AlexNet` makes the paper's
            networks for ImageNet.

    Raises:
        ValueError: for classes, a loss that does not treat real and fake images symmetrically, and image sizes that
            the architecture does not support.
    """

    cost_share: ClassVar[float] = 0.5

    def __init__(
        self,
        *,
        image_size: int = 28,
        image_channels: int = 1,
        number_of_classes: int = 0,
        latent_dim: int = 50,
        architecture: Architecture | None = None,
        training: Training = Training(),
    ) -> None:
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(0, number_of_classes=number_of_classes)
        networks = architecture if architecture is not None else Perceptrons()
        super().__init__(
            generator=networks.generator(image_size=image_size, image_channels=image_channels, latent_dim=latent_dim),
            encoder=networks.encoder(image_size=image_size, image_channels=image_channels, latent_dim=latent_dim),
            discriminator=networks.discriminator(
                image_size=image_size, image_channels=image_channels, latent_dim=latent_dim
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("architecture"))

    def configure_optimizers(self) -> list[Optimizer]:
        """The optimizers of both players; each has the gains of batch normalization in a group without weight decay."""
        optimizers = super().configure_optimizers()
        for optimizer, network in zip(optimizers, (self.discriminator, self.generator), strict=True):
            gains = {id(module.gain) for module in network.modules() if isinstance(module, ChannelAffine)}
            (group,) = optimizer.param_groups
            exempt = [parameter for parameter in group["params"] if id(parameter) in gains]
            if exempt:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in gains]
                optimizer.add_param_group({"params": exempt, "weight_decay": 0.0})
        return optimizers

    def prior(self, count: int, random: torch.Generator) -> Latents:
        """Latents `count latent_dim`, uniform in [-1, 1)."""
        return 2 * torch.rand(count, self.latent_dim, generator=random, device=random.device) - 1

    def latents_between(self, first: Latents, second: Latents, places: PerSample) -> Latents:
        """Latents in (-1, 1) on paths along which each number stays uniform, as it is in the prior.

        Uniform numbers u become normal ones, ``sqrt(2) erfinv(u)``, follow the great circles of normal latents, and
        become uniform again. On great circles between uniform latents, over a third of the numbers would lie outside of
        [-1, 1]; on straight lines, those in the middle would be too small. The authors do not measure path lengths.

        Args:
            first: latents where the paths begin, in [-1, 1), `batch latent_dim`.
            second: latents where the paths end.
            places: places on the paths, in [0, 1].
        """
        largest = 1 - 2**-24  # `torch.rand` can return 0, and erfinv(-1) is infinite
        begin, end = (math.sqrt(2) * latents.clamp(-largest, largest).erfinv() for latents in (first, second))
        return (super().latents_between(begin, end, places) / math.sqrt(2)).erf()
