"""The game of IntroVAE (arXiv:1807.06358) and Soft-IntroVAE (arXiv:2012.13253): an encoder is the discriminator.

It tells real images from the decoder's by the divergence of their codes from the standard normal. The decoder makes
images of random latents, fakes, and of the codes of real images, reconstructions; the encoder is shown both.

The decoder's turn goes on where the encoder's left off: it has the same fakes, and reconstructions from the codes that
the encoder gave *before* its step. So the encoder's turn returns its latents and codes (`leftover`), and `draw` takes
them for the decoder's turn.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from lightning_gan.layers.gaussian_code import reparametrized
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.penalties.kl_divergence import kl_to_standard_normal
from lightning_gan.penalties.reconstruction import reconstruction_error
from lightning_gan.tensors.shapes import (
    FakeImages,
    FakeLatents,
    Images,
    Labels,
    Latents,
    Logits,
    PerSample,
    Scalar,
)


class Posterior(NamedTuple):
    """The normal distributions of images' codes, ``q(z|x)``.

    Attributes:
        mean: `batch latent_dim`.
        log_variance: `batch latent_dim`.
    """

    mean: Latents
    log_variance: Latents

    @property
    def energies(self) -> PerSample:
        """``KL(q(z|x) || N(0, I))`` in nats."""
        return kl_to_standard_normal(self.mean, self.log_variance)

    def sample(self, noise: Latents) -> Latents:
        """A code of each image."""
        return reparametrized(self.mean, self.log_variance, noise)


@dataclass(frozen=True, kw_only=True)
class IntrospectiveDraws(Draws):
    """Latents, and what codes are drawn from.

    Attributes:
        code_noise: standard normal, for the codes of the real images in the encoder's turn.
        codes: the codes of the real images as the encoder's turn drew them; None in that turn.
        noises: standard normal, for codes that only a model's objective needs, `fakes latent_dim` each.
    """

    code_noise: FakeLatents
    codes: FakeLatents | None
    noises: tuple[FakeLatents, ...]


@dataclass(frozen=True, kw_only=True)
class IntrospectiveScores(Scores):
    """Scores, and what the encoder and the decoder make of real images, and of their own.

    Attributes:
        codes: of the real images.
        reconstructions: of the real images.
        errors: of the reconstructions, in the authors' units.
        real_posterior: of the real images' codes; None in the decoder's turn.
        reconstruction_posterior: of the reconstructions' codes; without gradient to the decoder in the encoder's turn.
        fake_posterior: of the fakes' codes; likewise.
    """

    codes: Latents
    reconstructions: Images
    errors: PerSample
    real_posterior: Posterior | None
    reconstruction_posterior: Posterior
    fake_posterior: Posterior


class IntrospectiveGAN(GAN, Autoencoder):
    """An encoder and a decoder that train each other; models derive from it and override `objective`.

    The score of an image is minus the divergence of its code. Until `vae_warmup_kimg` both players minimize the cost of
    a variational autoencoder, the error and the divergence with weight 1 each.

    Arguments that are not listed are as in the models.

    With slices (`Training.accumulate_slices`) means over a batch are means over a slice.

    Args:
        generator: the decoder, latents to images.
        discriminator: the encoder, images to mean and logarithm of the variance of their codes.

    Raises:
        ValueError: for a negative warm-up, a loss, and training settings with which the decoder's turn does not follow
            the encoder's on the same images.
    """

    turns_are_independent: ClassVar[bool] = False
    extra_noises: ClassVar[int] = 0
    """How many codes an objective samples in each turn beside those of the real images."""

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        latent_dim: int,
        vae_warmup_kimg: float,
        training: Training,
    ) -> None:
        name = type(self).__name__
        training.check_default_loss(name)
        if vae_warmup_kimg < 0:
            raise ValueError(f"{name}: vae_warmup_kimg={vae_warmup_kimg} must not be negative; 0 is no warm-up")
        if training.discriminator_turns == 0:
            raise ValueError(f"{name}: discriminator_turns=0 leaves no codes for the decoder's turn; take 1 or more")
        if training.generator_batch_multiple != 1:
            raise ValueError(
                f"{name}: generator_batch_multiple={training.generator_batch_multiple} must be 1, because the "
                "decoder's turn is on the codes of the encoder's images"
            )
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            latent_dim=latent_dim,
            training=training,
        )
        self.vae_warmup_kimg = vae_warmup_kimg
        self.is_warming_up = False

    # ------------------------------------------------------------------ what a turn is made of

    def draw_rows(self, count: int, random: torch.Generator) -> IntrospectiveDraws:
        """Latents, the noise of the real images' codes, and that of the codes that the objective samples."""
        width = self.latent_dim * (2 + self.extra_noises)
        rows = torch.randn(count, width, generator=random, device=random.device)
        latents, code_noise, *noises = torch.split(rows, self.latent_dim, dim=1)
        return IntrospectiveDraws(latents=latents, labels=None, code_noise=code_noise, codes=None, noises=tuple(noises))

    def draw(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Draws:
        """In the decoder's turn latents and codes are those that the encoder's turn has left."""
        draws = super().draw(player, reals, batch=batch, turn=turn, left=left)
        # Outside of `cost`, whose graph would be another for every number of images.
        self.is_warming_up = self.kimg < self.vae_warmup_kimg
        if player == "generator":
            latents, codes = left
            assert isinstance(draws, IntrospectiveDraws)
            draws = replace(draws, latents=latents, codes=codes)
        return draws

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> IntrospectiveScores:
        assert isinstance(draws, IntrospectiveDraws)
        real_posterior, codes = None, draws.codes
        if codes is None:
            real_posterior = self.posterior(reals.images)
            codes = real_posterior.sample(draws.code_noise)
        reconstructions = self.generate(codes, None)
        judged = reconstructions if real_posterior is None else reconstructions.detach()
        reconstruction_posterior, fake_posterior = self.posterior(judged), self.posterior(fake)
        return IntrospectiveScores(
            real_logits=None if real_posterior is None else -real_posterior.energies[:, None],
            fake_logits=-fake_posterior.energies[:, None],
            critic=self.score,
            codes=codes,
            reconstructions=reconstructions,
            errors=reconstruction_error(reals.images, reconstructions),
            real_posterior=real_posterior,
            reconstruction_posterior=reconstruction_posterior,
            fake_posterior=fake_posterior,
        )

    def leftover(self, turn: Turn) -> Leftover:
        """The encoder's turn leaves its latents, and the codes of the real images as they were before its step."""
        assert isinstance(turn.scores, IntrospectiveScores)
        return (turn.latents, turn.scores.codes.detach()) if turn.player == "discriminator" else ()

    def warmup_objective(self, scores: IntrospectiveScores) -> dict[str, Scalar]:
        """The cost of a variational autoencoder, ``E r(x) + E KL``, of which the decoder has no part in the second."""
        terms = {"reconstruction": scores.errors.mean()}
        if scores.real_posterior is not None:
            terms["kl"] = scores.real_posterior.energies.mean()
        return terms

    def posterior(self, images: Images) -> Posterior:
        """What the encoder in training makes of images."""
        return Posterior(*self.discriminate(images))

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Minus the divergence of the images' codes from the standard normal, `batch 1`."""
        return -self.posterior(images).energies[:, None]

    # ------------------------------------------------------------------ the autoencoder

    @torch.no_grad()
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        """The means of the codes; the encoder has no averaged weights."""
        with evaluation_mode(self.discriminator):
            return self.posterior(images).mean

    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        return self.sample(codes, ema=ema)
