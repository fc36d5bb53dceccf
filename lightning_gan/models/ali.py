"""ALI, "Adversarially Learned Inference": a GAN with an encoder of which every code is a draw.

Dumoulin et al. 2017, arXiv:1606.00704; layers by the tables of its appendix and the authors' code. The game is in
`lightning_gan.models.adversarial_inference`. What is ALI's own:
- the encoder is Gaussian, ``z = mu(x) + exp(s(x)) e`` with e ~ N(0, I), and latents are N(0, I);
- both players' costs are sums of two terms;
- convolutions are without padding, down to 1x1 and up from it; the last ones of encoder and generator have a bias for
  each pixel. The generator's starts at the log-odds of the data's mean image.

What we do differently: the loop alternates where the authors update all networks from one look. Images are in [-1, 1],
so that the generator ends in ``2 sigmoid(a) - 1``. The mean image is that of the first batch, over all ranks, and not
of 500 images; it is a buffer beside a bias that starts at 0, which is the same function and moves alike. Statistics of
batch normalization are those of all ranks.

What our sources do not tell is chosen here: batch normalization has PyTorch's eps; critics with leaky ReLU have it
behind every layer of D(x) but the first, those of maxout nowhere; CelebA's generator is its encoder in reverse.
"""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder, Noise
from lightning_gan.tensors.shapes import Images, Latents, Logits

WEIGHT_DEVIATION = 0.01
LEAST_BRIGHTNESS = 0.5 / 255
"""Pixels that are always black or white count as half a level of grey away from it: log-odds must be finite."""


class Row(NamedTuple):
    """One row of the paper's tables: a square convolution without padding."""

    kernel: int
    stride: int
    channels: int


def started(layer: nn.Module) -> nn.Module:
    """Weights from N(0, 0.01^2), biases at 0."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    nn.init.normal_(layer.weight, std=WEIGHT_DEVIATION)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def norm(channels: int) -> BatchNorm:
    """Batch normalization of all ranks' images, with the authors' running averages."""
    return BatchNorm(channels, momentum=0.05, across_ranks=True)


class PixelBias(nn.Module):
    """A bias for each channel of each pixel ("untied"), from 0, and a constant beside it."""

    constant: Tensor

    def __init__(self, *, channels: int, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, size, size))
        self.register_buffer("constant", torch.zeros(channels, size, size))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.bias + self.constant


class Maxout(nn.Module):
    """The larger of every two channels (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def forward(self, features: Tensor) -> Tensor:
        return reduce(features, "batch (channels pieces) h w -> batch channels h w", "max", pieces=2)


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """The tables of one data set.

    Args:
        divisor: what all feature maps are divided by, for smaller networks.

    Attributes:
        image_size: of the images.
        latent_dim: of z in the paper.
        encoder_rows: the encoder's, but the last, which has 2 x latent_dim channels.
        generator_rows: transposed, but the last, which is 1x1 to the image.
        leak: of the leaky ReLU.
        image_rows: D(x).
        code_channels: of D(z)'s two 1x1 convolutions.
        joint_channels: of D(x, z)'s two, before the one that gives the logit.
        maxout: whether the critic has maxout instead of leaky ReLU, and no batch normalization.
        image_dropouts: in front of D(x)'s layers: the first, and the others.
        code_dropouts: in front of D(z)'s.
        joint_dropout: in front of D(x, z)'s.
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

    def narrowed(self, rows: tuple[Row, ...]) -> list[Row]:
        """The rows with their feature maps divided.

        Raises:
            ValueError: if there are rows that this leaves none of, or no whole number.
        """
        if self.divisor < 1 or any(row.channels % self.divisor for row in rows):
            raise ValueError(f"divisor={self.divisor} must divide the feature maps {[row.channels for row in rows]}")
        return [row._replace(channels=row.channels // self.divisor) for row in rows]


ENCODER_32 = (Row(5, 1, 32), Row(4, 2, 64), Row(4, 1, 128), Row(4, 2, 256), Row(4, 1, 512), Row(1, 1, 512))
GENERATOR_32 = (Row(4, 1, 256), Row(4, 2, 128), Row(4, 1, 64), Row(4, 2, 32), Row(5, 1, 32), Row(1, 1, 32))


@final
@dataclass(frozen=True, kw_only=True)
class CIFAR10Tables(Architecture):
    """For CIFAR-10: a critic of maxout layers with dropout."""

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
    """For SVHN; the convolutions are those for CIFAR-10, the critic's too."""

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
    """For CelebA at 64x64."""

    image_size: ClassVar[int] = 64
    latent_dim: ClassVar[int] = 256
    encoder_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(2, 1, 64), Row(7, 2, 128), Row(5, 2, 256), Row(7, 2, 256), Row(4, 1, 512), Row(1, 1, 512)),
    )
    generator_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(4, 1, 512), Row(7, 2, 256), Row(5, 2, 256), Row(7, 2, 128), Row(2, 1, 64)),
    )
    leak: ClassVar[float] = 0.02
    image_rows: ClassVar[tuple[Row, ...]] = encoder_rows[:5]
    code_channels: ClassVar[int] = 1024
    joint_channels: ClassVar[int] = 2048
    image_dropouts: ClassVar[tuple[float, float]] = (0.0, 0.0)


class GaussianEncoder(Encoder):
    """Images to codes: mean and logarithm of the standard deviation of each of their numbers, and a draw of it.

    Arguments are as in `ALI`; `tables` is `architecture` there.
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
        """``mu + exp(s) e``, or mu without noise."""
        mean, log_deviation = self.layers(images)[:, :, 0, 0].chunk(2, dim=1)
        codes: Tensor = mean if noise is None else mean + log_deviation.exp() * noise
        return codes


class Generator(nn.Module):
    """Latents to images.

    Arguments are as in `ALI`; `tables` is `architecture` there.
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
        logits: Tensor = self.output_bias(self.layers(latents[:, :, None, None]))
        return (logits / 2).tanh()  # 2 sigmoid(a) - 1


class Discriminator(nn.Module):
    """Images and codes to one logit: D(x) and D(z) side by side at 1x1, and D(x, z) on both.

    Arguments are as in `ALI`; `tables` is `architecture` there.
    """

    def __init__(self, *, tables: Architecture, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.tables = tables
        image_rows = tables.narrowed(tables.image_rows)
        code_rows = tables.narrowed((Row(1, 1, tables.code_channels),) * 2)
        joint_rows = tables.narrowed((Row(1, 1, tables.joint_channels),) * 2)
        self.of_image = self._branch(image_channels, image_rows, dropouts=tables.image_dropouts, normalized=True)
        self.of_code = self._branch(latent_dim, code_rows, dropouts=tables.code_dropouts, normalized=False)
        both = image_rows[-1].channels + code_rows[-1].channels
        dropout = tables.joint_dropout
        self.of_both = nn.Sequential(
            self._branch(both, joint_rows, dropouts=(dropout, dropout), normalized=False),
            nn.Dropout(dropout),
            started(nn.Conv2d(joint_rows[-1].channels, 1, 1)),
        )

    def _branch(
        self, channels: int, rows: list[Row], *, dropouts: tuple[float, float], normalized: bool
    ) -> nn.Sequential:
        pieces = 2 if self.tables.maxout else 1
        layers: list[nn.Module] = []
        for index, (before, row) in enumerate(zip([channels, *(row.channels for row in rows)], rows, strict=False)):
            layers.append(nn.Dropout(dropouts[min(index, 1)]))
            layers.append(started(nn.Conv2d(before, pieces * row.channels, row.kernel, row.stride)))
            if normalized and index and not self.tables.maxout:
                layers.append(norm(row.channels))
            layers.append(Maxout() if self.tables.maxout else nn.LeakyReLU(self.tables.leak))
        return nn.Sequential(*layers)

    def forward(self, images: Images, codes: Latents) -> Logits:
        both = torch.cat([self.of_image(images), self.of_code(codes[:, :, None, None])], dim=1)
        logits: Tensor = self.of_both(both)
        return rearrange(logits, "batch 1 1 1 -> batch 1")


class ALI(AdversarialInference):
    """ALI, with the networks for CIFAR-10 as defaults.

    The authors' optimizers are Adam with 0.0001 and betas (0.5, 0.999), with batches of 100; they train for 6475 epochs
    on CIFAR-10, 100 on SVHN and 123 on CelebA.

    Args:
        image_size: what the architecture is for: 32, and 64 for `CelebATables`.
        image_channels: channels of the images.
        number_of_classes: 0; labels of the data are left to callbacks.
        latent_dim: size of z; None is the paper's, 64 for CIFAR-10 and 256 for the others.
        architecture: the tables; None is `CIFAR10Tables`, others are `SVHNTables` and `CelebATables`.

    Raises:
        ValueError: for another size than the architecture's, a divisor that leaves no feature maps, classes, and an
            objective that does not mirror real and fake.
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
                f"image_size={image_size}: {type(tables).__name__} is for images of {tables.image_size} pixels; give "
                "the data's image_size, or another architecture"
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

    @torch.no_grad()
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before anything is learned, the generator's bias becomes the log-odds of the mean image."""
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
