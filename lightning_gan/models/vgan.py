"""VGAN: a discriminator with a variational bottleneck (Peng et al. 2019, arXiv:1810.00821).

The layers are those of the authors' code, `akanazawa/vgan`: the R1 paper's residual networks (Mescheder et al. 2018,
arXiv:1801.04406). At 4x4 the discriminator maps its features to a Gaussian code at every position, and computes the
logits from a sample of this code.

The callback `Bottleneck` adds the penalty on the code. With `R1` in addition, this is the paper's VGAN-GP; without a
bottleneck it is `R1ResNet`. The authors' code draws the noise of the codes in every forward pass. Here it is drawn with
the latents, so that it is the same on any number of devices, and in a resumed run.
"""

from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.gaussian_code import reparametrized
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores
from lightning_gan.models.r1_resnet import Critic, Generator, ResNet
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import FakeImages, Images, Labels, Logits


class CodeMap(nn.Module):
    """Maps features to the mean and the logarithm of the variance of a code at every position, by 1x1 convolutions.

    As in the authors' code, the second convolution gives the logarithm of the standard deviation.

    The other arguments are described in `VGAN`.

    Args:
        channels: Number of channels of the features.
    """

    def __init__(self, *, channels: int, code_features: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(channels, code_features, kernel_size=1)
        self.log_deviation = nn.Conv2d(channels, code_features, kernel_size=1)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch code height width"], Float[Tensor, "batch code height width"]]:
        """Mean and logarithm of the variance, each `batch code height width`."""
        return self.mean(features), 2 * self.log_deviation(features)


class Discriminator(Critic):
    """Maps images to one logit through a variational bottleneck; with classes it is the logit of the image's label.

    The arguments are described in `VGAN`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        number_of_classes: int,
        code_features: int,
        width: int,
        width_max: int,
    ) -> None:
        architecture = ResNet()
        blocks = architecture.blocks(image_size=image_size, width=width, width_max=width_max)
        super().__init__(
            blocks=blocks,
            kernel_size=architecture.image_kernel_size,
            image_channels=image_channels,
            number_of_classes=number_of_classes,
            width=width,
        )
        self.code_shape = (code_features, blocks.lowest_resolution, blocks.lowest_resolution)
        self.bottleneck = CodeMap(channels=self.channels, code_features=code_features)
        self.output = nn.Linear(code_features * blocks.lowest_resolution**2, max(number_of_classes, 1))

    def forward(
        self,
        images: Images,
        labels: Labels | None = None,
        noise: Float[Tensor, "batch code rows columns"] | None = None,
    ) -> Logits:
        """Logits, `batch 1`.

        Args:
            images: Images in [-1, 1], `batch channels height width`.
            labels: Class indices or multi-hot rows; they are needed if there are classes.
            noise: Standard normal noise for the sample of the code; zeros give the mean. None draws the noise in
                training mode, and uses the mean in evaluation mode (the authors' code draws it there, too).
        """
        mean, log_variance = self.bottleneck(self.features(images))
        sampled = self.training or noise is not None
        code = reparametrized(mean, log_variance, noise) if sampled else mean
        return self.of_labels(self.output(leaky_relu(code, 0.2).flatten(1)), labels)


@dataclass(frozen=True, kw_only=True)
class CodedDraws(Draws):
    """The latents of a turn, and standard normal noise for the discriminator's codes.

    Attributes:
        fake_code_noise: Noise for the codes of the fakes.
        real_code_noise: Noise for the codes of the real images. A turn uses as many of its first rows as it has real
            images.
    """

    fake_code_noise: Float[Tensor, "fakes code rows columns"]
    real_code_noise: Float[Tensor, "fakes code rows columns"]


class VGAN(GAN):
    """The networks of the paper on the variational discriminator bottleneck (VDB).

    Add the callbacks `Bottleneck` and `EMA`, and `R1` for VGAN-GP. The authors train with RMSprop at a learning rate of
    0.0001, `Bottleneck(information_constraint=0.1, beta_step_size=1e-5, initial_beta=0.1)`, `R1(gamma=20)` (10 in their
    code, which has no factor 1/2), and `EMA` with a half-life of 692 batches (a decay of 0.999).

    Penalties that score other images, such as interpolates, use the code noise of the real images.

    Args:
        image_size: Height and width of the images in pixels, a power of two from 8.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z, the generator's input.
        label_dim: Size of the embedding of a label; 1 in the authors' settings without classes.
        code_features: Number of dimensions of the discriminator's code at each of the 4x4 positions. The authors have
            as many as there are feature maps at 4x4.
        generator_sees_mean: True uses the mean of the code in the generator's turn, as in the paper. False samples the
            code there, too, as in the authors' code.
        width: Number of feature maps at the images' size. It doubles with every halving of the resolution, up to
            `width_max`.
        width_max: Largest number of feature maps at any resolution.

    Raises:
        ValueError: for a size that is not a power of two from 8, `code_features` below 1, and a width above
            `width_max`.
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
        code_features: int = 256,
        generator_sees_mean: bool = False,
        width: int = 64,
        width_max: int = 1024,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            label_dim=label_dim,
            code_features=code_features,
            width=width,
            width_max=width_max,
        )
        check_at_least(0, number_of_classes=number_of_classes)
        if code_features < 1:
            raise ValueError(f"code_features={code_features} must be at least 1")
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                label_dim=label_dim,
                width=width,
                width_max=width_max,
                architecture=ResNet(),
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                code_features=code_features,
                width=width,
                width_max=width_max,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.generator_sees_mean = generator_sees_mean

    def draw_rows(self, count: int, random: torch.Generator) -> CodedDraws:
        """Draws latents, then the noise for the codes of as many fakes and as many real images."""
        latents = super().draw_rows(count, random).latents
        code, height, width = self.discriminator.code_shape
        noise = torch.randn(count, 2 * code * height * width, generator=random, device=random.device)
        of_fake, of_real = rearrange(
            noise,
            "rows (kinds code height width) -> kinds rows code height width",
            kinds=2,
            code=code,
            height=height,
            width=width,
        )
        return CodedDraws(latents=latents, labels=None, fake_code_noise=of_fake, real_code_noise=of_real)

    def score(
        self, images: Images, labels: Labels | None, noise: Float[Tensor, "samples code rows columns"] | None = None
    ) -> Logits:
        """Logits of the discriminator in fp32, `batch 1`.

        Args:
            images: Images in [-1, 1].
            labels: Class indices or multi-hot rows; they are needed if there are classes.
            noise: Standard normal noise for the codes. It is used if it has one row for each image; otherwise the
                discriminator draws the noise itself in training mode.
        """
        fitting = noise if noise is not None and len(noise) == len(images) else None
        logits: Logits = self.discriminate(images, labels, fitting)
        return full_precision(logits)

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
        """Scores real and generated images with the code noise of the turn, or with the means of the codes."""
        assert isinstance(draws, CodedDraws)
        of_fake, of_real = draws.fake_code_noise, draws.real_code_noise[: len(reals)]
        if player == "generator" and self.generator_sees_mean:
            of_fake, of_real = torch.zeros_like(of_fake), torch.zeros_like(of_real)
        needs_real = player == "discriminator" or self.loss.generator_needs_real
        return Scores(
            real_logits=self.score(reals.images, reals.labels, of_real) if needs_real else None,
            fake_logits=self.score(fake, draws.labels, of_fake),
            critic=partial(self.score, noise=of_real),
        )
