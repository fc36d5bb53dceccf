"""ALI, "Adversarially Learned Inference": a GAN with an encoder that samples its codes.

Dumoulin et al. 2017, arXiv:1606.00704; layers as in the tables of its appendix and in the authors' code. The objective
is in `lightning_gan.models.adversarial_inference`. Different from BiGAN:
- the encoder is Gaussian, ``z = mu(x) + exp(s(x)) e`` with e ~ N(0, I), and latents are N(0, I);
- both players' costs are sums of two terms;
- convolutions have no padding; they reduce images to 1x1, and the generator begins at 1x1. The last layers of encoder
  and generator have one bias for each pixel. The generator's starts at the log-odds of the data's mean image;
- the discriminator scores real and generated pairs as one batch, whose statistics batch normalization takes.

Where tables and code differ, we follow the code; `CIFAR10Tables` and `CelebATables` say where, and the one exception.

Different from the authors: our players alternate, where they update all networks from the same forward passes. Images
are in [-1, 1], so that the generator ends with ``2 sigmoid(a) - 1``. The mean image is that of the first batch over all
ranks, and not that of 500 images. It is a buffer that is added to a bias initialized with 0; the function and its
training are the same as with one bias. Batch normalization has statistics of all ranks. Its running averages, which
only evaluation uses, are those of the variance; the authors' are those of the standard deviation.
"""

from abc import ABC
from dataclasses import dataclass
from math import gcd
from typing import ClassVar, NamedTuple, final

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder, Noise
from lightning_gan.tensors.shapes import FakeImages, FakeLatents, FakeLogits, Images, Latents, Logits

WEIGHT_DEVIATION = 0.01
NORM_EPS = 1e-4
LEAST_BRIGHTNESS = 0.5 / 255
"""Least distance of the mean image from 0 and 1, half a level of grey, so that its log-odds are finite."""


class Row(NamedTuple):
    """One row of the paper's tables: a convolution with a square kernel, without padding.

    Attributes:
        kernel: Height and width of the kernel in pixels.
        stride: Stride in pixels.
        channels: Number of feature maps.
    """

    kernel: int
    stride: int
    channels: int


def started(layer: nn.Module) -> nn.Module:
    """The same convolution, after its weights are drawn from N(0, 0.01^2) and its bias is set to 0."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    nn.init.normal_(layer.weight, std=WEIGHT_DEVIATION)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def norm(channels: int) -> BatchNorm:
    """Batch normalization with statistics over all ranks, and with the authors' epsilon and momentum (0.05)."""
    return BatchNorm(channels, eps=NORM_EPS, momentum=0.05, across_ranks=True)


class PixelBias(nn.Module):
    """Adds a learned bias, initialized with 0, and a constant to each channel of each pixel ("untied" biases).

    Args:
        channels: Number of channels of the features.
        size: Height and width of the features in pixels.
    """

    constant: Tensor

    def __init__(self, *, channels: int, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, size, size))
        self.register_buffer("constant", torch.zeros(channels, size, size))

    def forward(self, features: Tensor) -> Tensor:
        """Features `batch channels size size` to features of the same shape."""
        return features + self.bias + self.constant


class Maxout(nn.Module):
    """The maximum of every two neighbouring channels (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def forward(self, features: Tensor) -> Tensor:
        """`batch channels height width -> batch channels/2 height width`."""
        return reduce(features, "batch (channels pieces) h w -> batch channels h w", "max", pieces=2)


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """The paper's tables of the networks for one data set.

    Args:
        divisor: All numbers of feature maps are divided by this, for smaller networks than the paper's (1).

    Attributes:
        image_size: Height and width of the images in pixels.
        latent_dim: Size of z in the paper.
        encoder_rows: Convolutions of the encoder, without the last, which has 2 x latent_dim channels.
        generator_rows: Transposed convolutions of the generator, without the last, which is a 1x1 convolution.
        leak: Slope of the leaky ReLU for negative values.
        image_rows: Convolutions of D(x), the discriminator's layers on the image. Numbers of feature maps of the
            discriminator are those of its convolutions, of which maxout keeps one half.
        code_channels: Feature maps of the two 1x1 convolutions of D(z), the discriminator's layers on the code.
        joint_channels: Feature maps of the two hidden 1x1 convolutions of D(x, z), the layers on both.
        maxout: Whether the discriminator has maxout instead of leaky ReLU, and no batch normalization. Without it D(x)
            has batch normalization behind every convolution except the first.
        image_dropouts: Probabilities of dropout before the first layer of D(x), and before its other layers.
        code_dropouts: Probabilities of dropout before the first layer of D(z), and before its other layers.
        joint_dropout: Probability of dropout before each layer of D(x, z).
    """

    image_size: ClassVar[int]
    latent_dim: ClassVar[int]
    encoder_rows: ClassVar[tuple[Row, ...]]
    generator_rows: ClassVar[tuple[Row, ...]]
    leak: ClassVar[float]
    image_rows: ClassVar[tuple[Row, ...]]
    code_channels: ClassVar[int]
    joint_channels: ClassVar[int]
    maxout: ClassVar[bool] = False
    image_dropouts: ClassVar[tuple[float, float]]
    code_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)
    joint_dropout: ClassVar[float] = 0.2

    divisor: int = 1

    def narrowed(self, rows: tuple[Row, ...], *, pieces: int = 1) -> list[Row]:
        """The rows with their numbers of feature maps divided by `divisor`.

        Args:
            rows: Rows of a table.
            pieces: Number of feature maps from which an activation takes the maximum; 1 without maxout.

        Raises:
            ValueError: if `divisor` is below 1, does not divide all numbers of feature maps, or leaves a number that
                `pieces` does not divide.
        """
        channels = [row.channels for row in rows]
        common = gcd(*channels) // pieces
        if self.divisor < 1 or common % self.divisor:
            pairs = " and leave pairs for maxout" if pieces > 1 else ""
            raise ValueError(
                f"divisor={self.divisor} must divide the feature maps {channels}{pairs}; take a number that divides "
                f"{common}"
            )
        return [row._replace(channels=row.channels // self.divisor) for row in rows]


ENCODER_32 = (Row(5, 1, 32), Row(4, 2, 64), Row(4, 1, 128), Row(4, 2, 256), Row(4, 1, 512), Row(1, 1, 512))
GENERATOR_32 = (Row(4, 1, 256), Row(4, 2, 128), Row(4, 1, 64), Row(4, 2, 32), Row(5, 1, 32), Row(1, 1, 32))


@final
@dataclass(frozen=True, kw_only=True)
class CIFAR10Tables(Architecture):
    """The tables for CIFAR-10; the discriminator has maxout layers with dropout.

    As in the authors' code, the feature maps of the table are those of the convolutions; each maxout layer gives half
    of them. The convolutions of D(x) and of D(x, z) have biases, those of D(z) have none.

    Different from the authors' code: dropout is in front of every convolution, as in the table. Their script takes
    every third layer of D(x), which has two layers for each convolution: it drops features in front of the first,
    second and fifth convolution and of the third maxout.
    """

    image_size: ClassVar[int] = 32
    latent_dim: ClassVar[int] = 64
    encoder_rows: ClassVar[tuple[Row, ...]] = ENCODER_32
    generator_rows: ClassVar[tuple[Row, ...]] = GENERATOR_32
    leak: ClassVar[float] = 0.1
    image_rows: ClassVar[tuple[Row, ...]] = ENCODER_32[:5]
    code_channels: ClassVar[int] = 512
    joint_channels: ClassVar[int] = 1024
    maxout: ClassVar[bool] = True
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.5)
    code_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.5)
    joint_dropout: ClassVar[float] = 0.5


@final
@dataclass(frozen=True, kw_only=True)
class SVHNTables(Architecture):
    """The tables for SVHN. All convolutions are those for CIFAR-10, but the discriminator has leaky ReLU.

    As in the authors' code, the first convolution of D(x) and those of D(x, z) have biases, the others have none.
    """

    image_size: ClassVar[int] = 32
    latent_dim: ClassVar[int] = 256
    encoder_rows: ClassVar[tuple[Row, ...]] = ENCODER_32
    generator_rows: ClassVar[tuple[Row, ...]] = GENERATOR_32
    leak: ClassVar[float] = 0.01
    image_rows: ClassVar[tuple[Row, ...]] = ENCODER_32[:5]
    code_channels: ClassVar[int] = 512
    joint_channels: ClassVar[int] = 1024
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)


@final
@dataclass(frozen=True, kw_only=True)
class CelebATables(Architecture):
    """The tables for CelebA at 64x64.

    As in the authors' code, the first convolution of D(x) has a bias and no batch normalization, and dropout of 0.2 is
    in front of every convolution of D(x). In the paper's table that convolution has batch normalization, and D(x) has
    no dropout. Biases are those of `SVHNTables`. The last row of the encoder's table is the layer that gives the code.
    """

    image_size: ClassVar[int] = 64
    latent_dim: ClassVar[int] = 256
    encoder_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(2, 1, 64), Row(7, 2, 128), Row(5, 2, 256), Row(7, 2, 256), Row(4, 1, 512)),
    )
    generator_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(4, 1, 512), Row(7, 2, 256), Row(5, 2, 256), Row(7, 2, 128), Row(2, 1, 64)),
    )
    leak: ClassVar[float] = 0.02
    image_rows: ClassVar[tuple[Row, ...]] = encoder_rows
    code_channels: ClassVar[int] = 1024
    joint_channels: ClassVar[int] = 2048
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)


class GaussianEncoder(Encoder):
    """Maps images to the means and the logarithms of the standard deviations of their codes, and samples the codes.

    The arguments are described in `ALI`; `tables` is called `architecture` there.
    """

    def __init__(self, *, tables: Architecture, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.noise_dim = latent_dim
        layers: list[nn.Module] = []
        channels = image_channels
        for row in tables.narrowed(tables.encoder_rows):
            layers += [
                started(nn.Conv2d(channels, row.channels, row.kernel, row.stride, bias=False)),
                norm(row.channels),
                nn.LeakyReLU(tables.leak),
            ]
            channels = row.channels
        last = started(nn.Conv2d(channels, 2 * latent_dim, 1, bias=False))
        self.layers = nn.Sequential(*layers, last, PixelBias(channels=2 * latent_dim, size=1))

    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Images in [-1, 1] to codes `batch latent_dim`: ``mu + exp(s) e`` with the noise e, or mu without noise."""
        mean, log_deviation = self.layers(images)[:, :, 0, 0].chunk(2, dim=1)
        codes: Tensor = mean if noise is None else mean + log_deviation.exp() * noise
        return codes


class Generator(nn.Module):
    """Maps latents to images by transposed convolutions.

    The arguments are described in `ALI`; `tables` is called `architecture` there.
    """

    def __init__(self, *, tables: Architecture, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = latent_dim
        for row in tables.narrowed(tables.generator_rows):
            layers += [
                started(nn.ConvTranspose2d(channels, row.channels, row.kernel, row.stride, bias=False)),
                norm(row.channels),
                nn.LeakyReLU(tables.leak),
            ]
            channels = row.channels
        self.layers = nn.Sequential(*layers, started(nn.Conv2d(channels, image_channels, 1, bias=False)))
        self.output_bias = PixelBias(channels=image_channels, size=tables.image_size)

    def forward(self, latents: Latents) -> Images:
        """`batch latent_dim` to images in (-1, 1)."""
        logits: Tensor = self.output_bias(self.layers(latents[:, :, None, None]))
        return (logits / 2).tanh()  # 2 sigmoid(a) - 1


class Discriminator(nn.Module):
    """Maps images and codes to one logit: D(x, z) gets the features of D(x) and of D(z), concatenated at 1x1.

    The arguments are described in `ALI`; `tables` is called `architecture` there.
    """

    def __init__(self, *, tables: Architecture, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.tables = tables
        self.pieces = 2 if tables.maxout else 1
        image_rows = tables.narrowed(tables.image_rows, pieces=self.pieces)
        code_rows = tables.narrowed((Row(1, 1, tables.code_channels),) * 2, pieces=self.pieces)
        joint_rows = tables.narrowed((Row(1, 1, tables.joint_channels),) * 2, pieces=self.pieces)
        dropout = tables.joint_dropout
        self.of_image = self._branch(
            image_channels, image_rows, dropouts=tables.image_dropouts, biases=True, normalized=not tables.maxout
        )
        self.of_code = self._branch(latent_dim, code_rows, dropouts=tables.code_dropouts, biases=False)
        both = (image_rows[-1].channels + code_rows[-1].channels) // self.pieces
        self.of_both = nn.Sequential(
            self._branch(both, joint_rows, dropouts=(dropout, dropout), biases=True),
            nn.Dropout(dropout),
            started(nn.Conv2d(joint_rows[-1].channels // self.pieces, 1, 1)),
        )

    def _branch(
        self,
        channels: int,
        rows: list[Row],
        *,
        dropouts: tuple[float, float],
        biases: bool,
        normalized: bool = False,
    ) -> nn.Sequential:
        """Dropout, convolution and activation for each row, and normalization behind all but the first convolution."""
        layers: list[nn.Module] = []
        for index, row in enumerate(rows):
            has_norm = normalized and index > 0
            layers += [
                nn.Dropout(dropouts[min(index, 1)]),
                started(nn.Conv2d(channels, row.channels, row.kernel, row.stride, bias=biases and not has_norm)),
                *([norm(row.channels)] if has_norm else []),
                Maxout() if self.tables.maxout else nn.LeakyReLU(self.tables.leak),
            ]
            channels = row.channels // self.pieces
        return nn.Sequential(*layers)

    def forward(self, images: Images, codes: Latents) -> Logits:
        """Images in [-1, 1] and codes `batch latent_dim` to logits `batch 1`."""
        both = torch.cat([self.of_image(images), self.of_code(codes[:, :, None, None])], dim=1)
        logits: Tensor = self.of_both(both)
        return rearrange(logits, "batch 1 1 1 -> batch 1")


class ALI(AdversarialInference):
    """ALI, with the networks for CIFAR-10 as defaults.

    The authors train with Adam at a learning rate of 0.0001 and betas (0.5, 0.999), with batches of 100, for 6475
    epochs on CIFAR-10, 100 on SVHN and 123 on CelebA.

    Args:
        image_size: Height and width of the images in pixels; it must be that of the architecture, 64 for `CelebATables`
            and 32 for the others.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes; it must be 0. The model does not use labels, but callbacks can.
        latent_dim: Size of the latent z. None takes the paper's: 64 for CIFAR-10, and 256 for SVHN and CelebA.
        architecture: The paper's tables of the three networks: `CIFAR10Tables`, `SVHNTables` or `CelebATables`. None
            takes `CIFAR10Tables`.

    Raises:
        ValueError: for an image size other than the architecture's, a divisor that does not divide the numbers of
            feature maps, classes, and a loss that does not treat real and fake images symmetrically.
    """

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int | None = None,
        architecture: Architecture | None = None,
        training: Training = Training(),
    ) -> None:
        tables = architecture if architecture is not None else CIFAR10Tables()
        if image_size != tables.image_size:
            raise ValueError(
                f"image_size={image_size}: {type(tables).__name__} is for images of {tables.image_size} pixels; set "
                f"image_size: {tables.image_size} in the model and in the data, or use another architecture"
            )
        latent_dim = latent_dim if latent_dim is not None else tables.latent_dim
        super().__init__(
            generator=Generator(tables=tables, image_channels=image_channels, latent_dim=latent_dim),
            encoder=GaussianEncoder(tables=tables, image_channels=image_channels, latent_dim=latent_dim),
            discriminator=Discriminator(tables=tables, image_channels=image_channels, latent_dim=latent_dim),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("architecture"))

    def score_both(
        self, images: Images, codes: Latents, fake: FakeImages, latents: FakeLatents
    ) -> tuple[Logits, FakeLogits]:
        """Logits of real pairs and of generated pairs, from one forward pass: batch normalization sees both."""
        logits = self.score_pairs(torch.cat([images, fake]), torch.cat([codes, latents]))
        return logits[: len(images)], logits[len(images) :]

    @torch.no_grad()
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before the first step, sets the constant of the generator's last layer to the log-odds of the mean image.

        It is the mean over the first batch of all ranks. A resumed run keeps its constant.
        """
        if self.images_seen:
            return
        with self.trainer.precision_plugin.train_step_context():
            images = self.prepare(batch).images
        mean = self.trainer.strategy.reduce(images.mean(dim=0), reduce_op="mean")
        assert isinstance(mean, Tensor)
        brightness = ((mean + 1) / 2).clamp(LEAST_BRIGHTNESS, 1 - LEAST_BRIGHTNESS)
        for network in (self.generator, self.generator_ema):
            assert isinstance(network.generator, Generator)
            network.generator.output_bias.constant.copy_(brightness.logit())
