"""VGAN: a discriminator that sees images through a variational bottleneck (Peng et al. 2019, arXiv:1810.00821).

Layers as in the authors' code, `akanazawa/vgan`: the R1 paper's residual networks (Mescheder et al. 2018,
arXiv:1801.04406); at 4x4 the discriminator's features become a Gaussian code at every position, and the logits are
taken from a sample of it.

The penalty on the code is the callback `Bottleneck`. With `R1` beside it, this is the paper's VGAN-GP; without a
bottleneck it is `R1ResNet`. What the authors' code draws at every call is drawn here with the latents: the same on any
number of devices, and in a resumed run.
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
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import FakeImages, Images, Labels, Logits


class CodeMap(nn.Module):
    """Features to the mean and the logarithm of the variance of a code at every position.

    The authors' second convolution gives the logarithm of the standard deviation.

    Arguments that are not listed are as in `VGAN`.

    Args:
        channels: of the features.
    """

    def __init__(self, *, channels: int, code_features: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(channels, code_features, kernel_size=1)
        self.log_deviation = nn.Conv2d(channels, code_features, kernel_size=1)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch code height width"], Float[Tensor, "batch code height width"]]:
        return self.mean(features), 2 * self.log_deviation(features)


class Discriminator(Critic):
    """Images to the label's logit, through a bottleneck.

    Arguments are as in `VGAN`.
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
            images: in [-1, 1].
            labels: needed if there are classes.
            noise: standard normal, for the sample of the code; zeros take the mean. None draws it in training mode, and
                is the mean in evaluation mode (in the authors' code it is drawn there too).
        """
        mean, log_variance = self.bottleneck(self.features(images))
        sampled = self.training or noise is not None
        code = reparametrized(mean, log_variance, noise) if sampled else mean
        return self.of_labels(self.output(leaky_relu(code, 0.2).flatten(1)), labels)


@dataclass(frozen=True, kw_only=True)
class CodedDraws(Draws):
    """Latents, and standard normal noise for the discriminator's codes.

    Attributes:
        fake_code_noise: of the fakes' codes.
        real_code_noise: of the real images' codes, of which a turn uses the first.
    """

    fake_code_noise: Float[Tensor, "fakes code rows columns"]
    real_code_noise: Float[Tensor, "fakes code rows columns"]


class VGAN(GAN):
    """The VDB paper's networks; add `Bottleneck` and `EMA` as callbacks, and `R1` for VGAN-GP.

    The authors' optimizers are RMSprop with 0.0001, their bottleneck `Bottleneck(information_constraint=0.1,
    beta_step_size=1e-5, initial_beta=0.1)`, their gradient penalty `R1(gamma=20)` (10 in their code, which has no 1/2),
    their average `EMA` with a half-life of 692 batches (a decay of 0.999).

    Penalties that look again, at interpolates, say, see them through the sample that the real images were seen through.

    Args:
        image_size: a power of two from 8.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z, the generator's input.
        label_dim: size of a label's embedding; 1 in the authors' settings without classes.
        code_features: dimensions of the discriminator's code at each of the 4x4 positions; the authors have as many as
            feature maps there.
        generator_sees_mean: whether the generator's turn takes the code's mean, as the paper writes; False samples
            there too, as the authors' code does.
        width: feature maps at the images' size; doubled with every halving,
        width_max: but no more than this.

    Raises:
        ValueError: for a size that is no power of two, a code without dimensions, and a width above `width_max`.
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
        """Latents, then the noise of the codes of a fake and of a real image."""
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
        """Logits of the discriminator, in fp32; for other than `samples` images the noise is drawn."""
        fitting = noise if noise is not None and len(noise) == len(images) else None
        logits: Logits = self.discriminate(images, labels, fitting)
        return full_precision(logits)

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
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
