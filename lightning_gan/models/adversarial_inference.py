"""What BiGAN and ALI share: GANs that learn a generator and an encoder against one discriminator of pairs (x, z).

Donahue et al. 2017 (arXiv:1605.09782) and Dumoulin et al. 2017 (arXiv:1606.00704) propose the same objective. The
discriminator learns high scores for pairs (x, E(x)) of a real image and its code, and low scores for pairs (G(z), z) of
a generated image and its latent. At the optimum both kinds of pairs have the same distribution, and the encoder inverts
the generator.

Generator and encoder minimize one cost and are one player. They are one module, and `generator_ema` has the average
weights of both.

Different from the authors: our players alternate, the discriminator first, each with forward passes of its own. The
authors of both papers update all networks at once, with the gradients of the same forward passes. Here the cost of
generator and encoder is computed after the discriminator's step.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import register_fsdp_forward_method

from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.losses import joint_generator_cost
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import (
    FakeImages,
    FakeLatents,
    FakeLogits,
    Images,
    Labels,
    Latents,
    Logits,
    Scalar,
)

Noise: TypeAlias = Float[Tensor, "batch noise"]
"""Standard normal noise from which codes are sampled."""


class Encoder(nn.Module, ABC):
    """A network that maps images to codes.

    Attributes:
        noise_dim: Size of the standard normal noise from which one code is sampled. 0 is an encoder without noise.
    """

    noise_dim: int = 0

    @abstractmethod
    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Codes of images, `batch latent_dim`.

        Args:
            images: Images in [-1, 1], `batch channels height width`.
            noise: Standard normal noise for the samples, `batch noise_dim`. None gives the means of the codes.
        """


class GeneratorAndEncoder(nn.Module):
    """Generator and encoder as one module, which is called like a generator.

    The arguments are described in `AdversarialInference`.
    """

    def __init__(self, *, generator: nn.Module, encoder: Encoder) -> None:
        super().__init__()
        self.generator = generator
        self.encoder = encoder

    def forward(self, latents: Latents) -> Images:
        """Images of latents `batch latent_dim`."""
        images: Images = self.generator(latents)
        return images

    def encode(self, images: Images, noise: Noise | None = None) -> Latents:
        """Codes `batch latent_dim` of images in [-1, 1]: samples with the noise, or means without it."""
        codes: Latents = self.encoder(images, noise)
        return codes


@dataclass(frozen=True, kw_only=True)
class InferenceDraws(Draws):
    """The latents of a turn, and the noise from which the encoder's codes are sampled.

    Attributes:
        code_noise: Standard normal noise, `fakes noise_dim`.
    """

    code_noise: Float[Tensor, "fakes noise"]


class AdversarialInference(GAN, Autoencoder):
    """Trains a generator and an encoder against a discriminator that is called `discriminator(images, codes)`.

    The losses are those of all GANs here, on the scores of pairs. The generator's cost is its loss on D(G(z), z), the
    encoder's cost is the same loss with real and fake exchanged on D(x, E(x)) (`losses.joint_generator_cost`). In the
    discriminator's turn E(x) and G(z) have no gradient. Gradient penalties such as R1 take the gradient with respect to
    the image, with its code fixed. Penalties that score other images (interpolated or augmented ones) raise an error
    in their first turn.

    Args:
        generator: Network that maps latents to images.
        encoder: Network that maps images to codes.
        discriminator: Network that maps images and codes to raw logits, high for real images and their codes.
        latent_dim: Size of a latent and of a code.
        number_of_classes: Number of classes; it must be 0, because labels are not used.

    Raises:
        ValueError: for classes, and for a loss that does not treat real and fake images symmetrically.
    """

    cost_share: ClassVar[float] = 1.0
    """Factor that multiplies both players' costs."""

    generator: GeneratorAndEncoder
    generator_ema: GeneratorAndEncoder

    def __init__(
        self,
        *,
        generator: nn.Module,
        encoder: Encoder,
        discriminator: nn.Module,
        latent_dim: int,
        number_of_classes: int = 0,
        training: Training = Training(),
    ) -> None:
        if number_of_classes:
            raise ValueError(
                f"number_of_classes={number_of_classes}: {type(self).__name__} does not use labels; set the model's "
                "number_of_classes: 0 (callbacks can still use the labels of the data)"
            )
        super().__init__(
            generator=GeneratorAndEncoder(generator=generator, encoder=encoder),
            discriminator=discriminator,
            latent_dim=latent_dim,
            training=training,
        )
        joint_generator_cost(self.loss, torch.zeros(1), torch.zeros(1))  # raises for losses without an encoder's cost

    # ------------------------------------------------------------------ the objective

    def draw_rows(self, count: int, random: torch.Generator) -> InferenceDraws:
        """Draws latents, then the noise for the encoder's codes."""
        latents = self.prior(count, random)
        noise = torch.randn(count, self.generator.encoder.noise_dim, generator=random, device=random.device)
        return InferenceDraws(latents=latents, labels=None, code_noise=noise)

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
        """Encodes the real images and scores both kinds of pairs; codes have gradients in the generator's turn only."""
        assert isinstance(draws, InferenceDraws)
        # A generator's turn may make several fakes per real image: evenly spaced rows are the same for any number of
        # ranks.
        noise = draws.code_noise[:: len(draws) // len(reals)]
        if player == "generator":
            codes = self.infer(reals.images, noise)
        else:
            with torch.no_grad():
                codes = self.infer(reals.images, noise)
        real_logits, fake_logits = self.score_both(reals.images, codes, fake, draws.latents)
        return Scores(real_logits=real_logits, fake_logits=fake_logits, critic=self.score)

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """The player's cost as "adversarial"; that of the generator's turn is the generator's plus the encoder's."""
        assert turn.real_logits is not None
        if turn.player == "discriminator":
            cost = self.loss.discriminator(turn.real_logits, turn.fake_logits)
        else:
            cost = joint_generator_cost(self.loss, turn.real_logits, turn.fake_logits)
        return {"adversarial": self.cost_share * cost}

    def infer(self, images: Images, noise: Noise) -> Latents:
        """Codes of the encoder in its present mode, `batch latent_dim` in fp32."""
        return full_precision(self.generator.encode(images, noise))

    def score_both(
        self, images: Images, codes: Latents, fake: FakeImages, latents: FakeLatents
    ) -> tuple[Logits, FakeLogits]:
        """Logits of real pairs and of generated pairs, in fp32.

        Here they are two forward passes, so that batch normalization has separate statistics for each kind of pairs, as
        in BiGAN's code. Models may override it.

        Args:
            images: Real images.
            codes: Their codes.
            fake: Generated images.
            latents: The latents that they are made from.
        """
        return self.score_pairs(images, codes), self.score_pairs(fake, latents)

    def score_pairs(self, images: FakeImages, codes: FakeLatents) -> FakeLogits:
        """Logits of the discriminator for pairs of images and codes, in fp32."""
        return full_precision(self.discriminate(images, codes))

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Always raises an error, because the discriminator scores pairs and not images alone.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"the discriminator of {type(self).__name__} scores pairs of an image and its code, but a penalty scores "
            "other images, which have no code; remove that callback, or use one that scores the turn's own pairs, such "
            "as R1 or R2"
        )

    # ------------------------------------------------------------------ the autoencoder

    @torch.no_grad()
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        """Codes without noise, `batch latent_dim` in fp32, from the encoder or, with `ema`, its average weights."""
        network = self.sampling_generator if ema else self.generator
        assert isinstance(network, GeneratorAndEncoder)
        with evaluation_mode(network):
            return full_precision(network.encode(images))

    def encoding_network(self, *, ema: bool = True) -> nn.Module:
        """The encoder, or, with `ema`, the one with its average weights if a callback updates them."""
        network = self.sampling_generator if ema else self.generator
        assert isinstance(network, GeneratorAndEncoder)
        return network.encoder

    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        """Images of codes in about [-1, 1], from the generator or, with `ema`, from its average weights."""
        return self.sample(codes, clipped=False, ema=ema)

    # ------------------------------------------------------------------ Lightning's hooks

    def configure_model(self) -> None:
        """Registers `encode` as a forward method, so that FSDP gathers sharded weights for it, too."""
        super().configure_model()
        for network in (self.generator, self.generator_ema):
            register_fsdp_forward_method(network, "encode")  # does nothing without FSDP
