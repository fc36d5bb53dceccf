"""GANs that learn an encoder beside the generator, under one critic of pairs (x, z): what BiGAN and ALI share.

Donahue et al. 2017 (arXiv:1605.09782) and Dumoulin et al. 2017 (arXiv:1606.00704) found the same game. The critic
scores (x, E(x)), a real image and its code, high, and (G(z), z), a latent and its image, low. At the optimum both kinds
of pairs have one distribution, and the encoder inverts the generator.

Generator and encoder minimise one cost and are one player, hence one module, whose average `generator_ema` averages
both.

What we do differently: our players take turns, the critic first, each with a look of its own. The authors of both
papers update all networks at once, from the gradients of one look; here generator and encoder meet a critic that has
already moved by one step.
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
from lightning_gan.tensors.seeds import derived_seed
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
"""Standard normal numbers that codes are drawn from."""


class Encoder(nn.Module, ABC):
    """Images to codes.

    Attributes:
        noise_dim: how many normal numbers a code is drawn from, beside the image; 0 where the image alone decides.
    """

    noise_dim: int = 0

    @abstractmethod
    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Codes like the generator's latents; of the noise `batch noise_dim`, or without it the most typical ones."""


class GeneratorAndEncoder(nn.Module):
    """Both networks of the generator's player; called like a generator. Arguments are as in `AdversarialInference`."""

    def __init__(self, *, generator: nn.Module, encoder: Encoder) -> None:
        super().__init__()
        self.generator = generator
        self.encoder = encoder

    def forward(self, latents: Latents) -> Images:
        """Images of latents."""
        images: Images = self.generator(latents)
        return images

    def encode(self, images: Images, noise: Noise | None = None) -> Latents:
        """Codes of images; see `Encoder`."""
        codes: Latents = self.encoder(images, noise)
        return codes


@dataclass(frozen=True, kw_only=True)
class InferenceDraws(Draws):
    """Latents, and what the encoder's codes are drawn from.

    Attributes:
        code_noise: standard normal, `fakes noise_dim`.
    """

    code_noise: Float[Tensor, "fakes noise"]


class AdversarialInference(GAN, Autoencoder):
    """A generator and an encoder against a critic that is called `discriminator(images, codes)`.

    Objectives are those of all GANs here, on pairs: the generator's cost of the scores D(G(z), z), and its mirror of
    the scores D(x, E(x)) for the encoder (`losses.joint_generator_cost`). In the discriminator's turn E(x) and G(z) are
    constants. Gradient penalties such as R1 take the gradient by the image and hold its code fixed. Penalties that look
    at other images (between real and fake ones, augmented) are refused in their first turn.

    Args:
        generator: makes images from latents.
        encoder: makes codes from images.
        discriminator: scores pairs with raw logits, high for real images and their codes.
        latent_dim: size of a latent and of a code.
        number_of_classes: 0; labels of the data are not used.

    Raises:
        ValueError: for classes, and for an objective that does not mirror real and fake.
    """

    cost_share: ClassVar[float] = 1.0
    """What both players' objectives are multiplied by."""

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
                f"number_of_classes={number_of_classes}: {type(self).__name__} has no labels; set the model's "
                "number_of_classes: 0, and the labels of the data are left to callbacks"
            )
        super().__init__(
            generator=GeneratorAndEncoder(generator=generator, encoder=encoder),
            discriminator=discriminator,
            latent_dim=latent_dim,
            training=training,
        )
        joint_generator_cost(self.loss, torch.zeros(1), torch.zeros(1))  # raises for objectives that have none

    # ------------------------------------------------------------------ the game

    def prior(self, count: int, random: torch.Generator) -> Latents:
        """Latents as they are drawn in training and for samples: here standard normal."""
        return torch.randn(count, self.latent_dim, generator=random, device=random.device)

    def draw_rows(self, count: int, random: torch.Generator) -> InferenceDraws:
        """Latents, then what the encoder's codes are drawn from."""
        latents = self.prior(count, random)
        noise = torch.randn(count, self.generator.encoder.noise_dim, generator=random, device=random.device)
        return InferenceDraws(latents=latents, labels=None, code_noise=noise)

    def draw_latents(self, count: int, *, seed: int) -> tuple[Latents, Labels | None]:
        random = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        return self.prior(count, random).to(self.device), None

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
        assert isinstance(draws, InferenceDraws)
        # A generator's turn may make several fakes per real image: evenly spaced rows are the same for any number of
        # ranks.
        noise = draws.code_noise[:: len(draws) // len(reals)]
        if player == "generator":
            codes = self.infer(reals.images, noise)
        else:
            with torch.no_grad():
                codes = self.infer(reals.images, noise)
        return Scores(
            # One after the other, so that batch normalization sees each kind of pairs by itself.
            real_logits=self.score_pairs(reals.images, codes),
            fake_logits=self.score_pairs(fake, draws.latents),
            critic=self.score,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        assert turn.real_logits is not None
        if turn.player == "discriminator":
            cost = self.loss.discriminator(turn.real_logits, turn.fake_logits)
        else:
            cost = joint_generator_cost(self.loss, turn.real_logits, turn.fake_logits)
        return {"adversarial": self.cost_share * cost}

    def infer(self, images: Images, noise: Noise) -> Latents:
        """Codes of the encoder in training, in fp32."""
        return full_precision(self.generator.encode(images, noise))

    def score_pairs(self, images: FakeImages, codes: FakeLatents) -> FakeLogits:
        """Logits of the critic, in fp32."""
        return full_precision(self.discriminate(images, codes))

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """There are no scores of images alone.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"the critic of {type(self).__name__} scores pairs of an image and its code, and a penalty looks at other "
            "images, which have none; leave that callback out, or take one that uses the turn's own pairs, such as R1 "
            "or R2"
        )

    # ------------------------------------------------------------------ the autoencoder

    @torch.no_grad()
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        network = self.sampling_generator if ema else self.generator
        assert isinstance(network, GeneratorAndEncoder)
        with evaluation_mode(network):
            return full_precision(network.encode(images))

    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        return self.sample(codes, ema=ema)

    # ------------------------------------------------------------------ Lightning's hooks

    def configure_model(self) -> None:
        super().configure_model()
        for network in (self.generator, self.generator_ema):
            register_fsdp_forward_method(network, "encode")  # nothing, unless it is sharded
