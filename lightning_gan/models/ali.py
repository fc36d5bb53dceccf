"""ALI, "Adversarially Learned Inference": a GAN with an encoder that samples its codes.

Dumoulin et al. 2017, arXiv:1606.00704; layers as in the tables of its appendix and in the authors' code, which are in
`lightning_gan.models.ali_tables`. The objective is in `lightning_gan.models.adversarial_inference`. Different from
BiGAN:
- the encoder is Gaussian, ``z = mu(x) + exp(s(x)) e`` with e ~ N(0, I), and latents are N(0, I);
- both players' costs are sums of two terms;
- convolutions have no padding; they reduce images to 1x1, and the generator begins at 1x1. The last layers of encoder
  and generator have one bias for each pixel. The generator's starts at the log-odds of the data's mean image;
- the discriminator scores real and generated pairs as one batch, whose statistics batch normalization takes.

Different from the authors: our players alternate, where they update all networks from the same forward passes. Images
are in [-1, 1], so that the generator ends with ``2 sigmoid(a) - 1``. The mean image is that of the first batch over all
ranks, and not that of 500 images. It is a buffer that is added to a bias initialized with 0; the function and its
training are the same as with one bias. Batch normalization has statistics of all ranks. Its running averages, which
only evaluation uses, are those of the variance; the authors' are those of the standard deviation.
"""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.dropout import Dropout
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder, Noise
from lightning_gan.models.ali_tables import Architecture, CIFAR10Tables, Row
from lightning_gan.tensors.draws_by_position import stacked
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import FakeImages, FakeLatents, FakeLogits, Images, Latents, Logits

NORM_EPS = 1e-4
LEAST_BRIGHTNESS = 0.5 / 255
"""Least distance of the mean image from 0 and 1, half a level of grey, so that its log-odds are finite."""


def started(layer: nn.Conv2d | nn.ConvTranspose2d, *, deviation: float) -> nn.Module:
    """The same convolution, after its weights are drawn from N(0, deviation^2) and its bias is set to 0."""
    nn.init.normal_(layer.weight, std=deviation)
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
                started(
                    nn.Conv2d(channels, row.channels, row.kernel, row.stride, bias=False),
                    deviation=tables.weight_deviation,
                ),
                norm(row.channels),
                nn.LeakyReLU(tables.leak, inplace=True),
            ]
            channels = row.channels
        last = started(nn.Conv2d(channels, 2 * latent_dim, 1, bias=False), deviation=tables.weight_deviation)
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
                started(
                    nn.ConvTranspose2d(channels, row.channels, row.kernel, row.stride, bias=False),
                    deviation=tables.weight_deviation,
                ),
                norm(row.channels),
                nn.LeakyReLU(tables.leak, inplace=True),
            ]
            channels = row.channels
        last = started(nn.Conv2d(channels, image_channels, 1, bias=False), deviation=tables.weight_deviation)
        self.layers = nn.Sequential(*layers, last)
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
            Dropout(dropout),
            started(nn.Conv2d(joint_rows[-1].channels // self.pieces, 1, 1), deviation=tables.weight_deviation),
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
                Dropout(dropouts[min(index, 1)]),
                started(
                    nn.Conv2d(channels, row.channels, row.kernel, row.stride, bias=biases and not has_norm),
                    deviation=self.tables.weight_deviation,
                ),
                *([norm(row.channels)] if has_norm else []),
                Maxout() if self.tables.maxout else nn.LeakyReLU(self.tables.leak, inplace=True),
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
        image_size: Height and width of the images in pixels; it must be that of the architecture: 64 for
            `CelebATables`, 28 for `DigitsTables`, 32 for the others.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes; it must be 0. The model does not use labels, but callbacks can.
        latent_dim: Size of the latent z. None takes the architecture's: 64 for CIFAR-10, 256 for SVHN and CelebA, 16
            for digits.
        architecture: The tables of the three networks: the paper's `CIFAR10Tables`, `SVHNTables` or `CelebATables`, or
            `DigitsTables`. None takes `CIFAR10Tables`.

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
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(0, number_of_classes=number_of_classes)
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
        with stacked(2):
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
