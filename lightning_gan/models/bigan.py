"""BiGAN, "Adversarial Feature Learning": a GAN with an encoder that learns to invert the generator.

Donahue et al. 2017, arXiv:1605.09782; constants and layers as in the authors' code. The game is in
`lightning_gan.models.adversarial_inference`. Here are the paper's perceptrons for permutation-invariant MNIST; the
convolutional networks for ImageNet are in `models/bigan_alexnet.py`.

As in the authors' code:
- latents are uniform in (-1, 1), and so are codes: ``2 sigmoid(a) - 1``;
- z enters every hidden layer of the generator but the first, and z or E(x) every hidden layer of the critic but the
  first, by a linear map in front of the normalization;
- both players' costs are means of two terms, not sums.

What we do differently: the loop alternates where the authors update all networks from one look. Images are in [-1, 1],
so that the generator ends in ``2 sigmoid(a) - 1`` where theirs, on MNIST, ends in ``sigmoid(a)``. Their decay of Adam's
beta1, by a factor of 1 - 1e-8 per step, is left out. Statistics of batch normalization are those of all ranks.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.batch_norm import BatchNorm, NoAffine
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder, Noise
from lightning_gan.tensors.shapes import Images, Latents, Logits

WEIGHT_DEVIATION = 0.02
NORM_EPS = 1e-8
LEAK = 0.2


def centred_sigmoid(logits: Tensor) -> Tensor:
    """``2 sigmoid(a) - 1`` in (-1, 1), the authors' output scaled to our images and latents."""
    return (logits / 2).tanh()


def norm(channels: int, *, affine: bool) -> BatchNorm:
    """The authors' batch normalization, of all ranks' images; `affine` says whether gain and bias are learned."""
    return BatchNorm(channels, affine=None if affine else NoAffine(), eps=NORM_EPS, across_ranks=True)


class Layer(nn.Module):
    """``leaky_relu(norm(layer(features) + injection(codes)))``.

    Args:
        layer: a linear or convolutional layer; its weights start as N(0, 0.02^2).
        norm: the normalization, or `nn.Identity`.
        slope: of the leaky ReLU; 0 is a ReLU.
        code_dim: size of the codes that enter; 0 for none. Their weights start as N(0, (0.02 k^2)^2) for a kernel of
            k x k, whose many taps would drown them otherwise.
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
        """Features `batch channels ...`; codes are added to every position."""
        features = self.layer(features)
        if self.injection is not None:
            injected: Tensor = self.injection(codes)
            features = features + (injected if features.dim() == 2 else injected[:, :, None, None])
        return leaky_relu(self.norm(features), self.slope)


class Output(nn.Linear):
    """The linear layer without bias that a perceptron ends in."""

    def __init__(self, in_features: int, out_features: int, *, deviation: float = WEIGHT_DEVIATION) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.normal_(self.weight, std=deviation)


class PerceptronGenerator(nn.Module):
    """Latents to images, through two hidden layers; no biases.

    Arguments are as in `BiGAN` and `Perceptrons`.
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
        pixels: Tensor = self.to_image(self.second(self.first(latents), latents))
        return rearrange(centred_sigmoid(pixels), "batch (c h w) -> batch c h w", h=self.image_size, w=self.image_size)


class PerceptronEncoder(Encoder):
    """Images to codes in (-1, 1), through two hidden layers; no biases, and no normalization in the first.

    Arguments are as in `BiGAN` and `Perceptrons`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        pixels = image_channels * image_size**2
        self.first = Layer(nn.Linear(pixels, width, bias=False), norm=nn.Identity(), slope=LEAK)
        self.second = Layer(nn.Linear(width, width, bias=False), norm=norm(width, affine=False), slope=LEAK)
        self.to_code = Output(width, latent_dim)

    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        codes: Tensor = self.to_code(self.second(self.first(images.flatten(1))))
        return centred_sigmoid(codes)


class PerceptronDiscriminator(nn.Module):
    """Images and codes to one logit, which starts at 0; the code enters the second hidden layer.

    Arguments are as in `BiGAN` and `Perceptrons`.
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
        logits: Tensor = self.to_logit(self.second(self.first(images.flatten(1)), codes))
        return logits


class Architecture(ABC):
    """Which three networks a `BiGAN` has."""

    @abstractmethod
    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> nn.Module:
        """Latents in (-1, 1) to images."""

    @abstractmethod
    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> Encoder:
        """Images to codes in (-1, 1)."""

    @abstractmethod
    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> nn.Module:
        """Images and codes to logits."""


@final
@dataclass(frozen=True, kw_only=True)
class Perceptrons(Architecture):
    """The paper's networks for permutation-invariant MNIST, for images of any size: they know no neighbourhoods.

    Args:
        width: of all hidden layers.
    """

    width: int = 1024

    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronGenerator:
        return PerceptronGenerator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )

    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronEncoder:
        return PerceptronEncoder(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )

    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> PerceptronDiscriminator:
        return PerceptronDiscriminator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.width
        )


class BiGAN(AdversarialInference):
    """BiGAN, by default with the paper's perceptrons for MNIST.

    The authors' optimizers are Adam with 0.0002, betas (0.5, 0.999) and a weight decay of 2.5e-5, with batches of 128;
    the rate is constant for 200 epochs and falls exponentially to a hundredth over another 200 (`ExponentialDecay`).

    Args:
        image_size: of square images; 28 in the paper.
        image_channels: channels of the images.
        number_of_classes: 0; labels of the data are left to callbacks.
        latent_dim: size of z: 50 on MNIST, 200 on ImageNet.
        architecture: the networks; None is `Perceptrons`, `bigan_alexnet.AlexNet` is the paper's for ImageNet.

    Raises:
        ValueError: for classes, an objective that does not mirror real and fake, and sizes that the networks refuse.
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

    def prior(self, count: int, random: torch.Generator) -> Latents:
        """Uniform in [-1, 1)."""
        return 2 * torch.rand(count, self.latent_dim, generator=random, device=random.device) - 1
