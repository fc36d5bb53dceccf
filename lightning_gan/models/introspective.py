"""What IntroVAE (arXiv:1807.06358) and Soft-IntroVAE (arXiv:2012.13253) share: the encoder is the discriminator.

The encoder distinguishes real images from the decoder's by the Kullback-Leibler divergence of their codes from the
standard normal. The decoder makes images from random latents (fakes) and from the codes of real images
(reconstructions); the encoder gets both.

The decoder's turn uses the same latents as the encoder's turn, and the codes of the real images that the encoder
computed *before* its step. The encoder's turn returns these latents and codes (`leftover`), and `draw` gives them to
the decoder's turn.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, final

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
    """The normal distributions ``q(z|x)`` of the codes of a batch of images.

    Attributes:
        mean: Means of the codes, `batch latent_dim`.
        log_variance: Natural logarithms of the variances of the codes, `batch latent_dim`.
    """

    mean: Latents
    log_variance: Latents

    @property
    def energies(self) -> PerSample:
        """``KL(q(z|x) || N(0, I))`` of each image in nats, `batch`."""
        return kl_to_standard_normal(self.mean, self.log_variance)

    def sample(self, noise: Latents) -> Latents:
        """One code drawn for each image, ``mean + exp(log_variance / 2) noise``, `batch latent_dim`."""
        return reparametrized(self.mean, self.log_variance, noise)


@dataclass(frozen=True, kw_only=True)
class IntrospectiveDraws(Draws):
    """The latents of a turn, and the noise from which the codes are sampled.

    Attributes:
        code_noise: Standard normal noise for the codes of the real images in the encoder's turn, `fakes latent_dim`.
        codes: Codes of the real images, `fakes latent_dim`, as they were sampled in the encoder's turn; None in the
            encoder's turn itself.
        noises: Standard normal noise for the codes that only the model's objective samples, `fakes latent_dim` each.
    """

    code_noise: FakeLatents
    codes: FakeLatents | None
    noises: tuple[FakeLatents, ...]


@dataclass(frozen=True, kw_only=True)
class IntrospectiveScores(Scores):
    """The scores of a turn, with the codes, the reconstructions and the distributions of the codes.

    Attributes:
        codes: Codes of the real images, `batch latent_dim`.
        reconstructions: Reconstructions of the real images, `batch channels height width`, in about [-1, 1].
        errors: Squared errors of the reconstructions, `batch`, summed over pixels of images in [0, 1].
        real_posterior: Distributions of the real images' codes; None in the decoder's turn.
        reconstruction_posterior: Distributions of the reconstructions' codes. In the encoder's turn they pass no
            gradient to the decoder.
        fake_posterior: Distributions of the fakes' codes. In the encoder's turn they pass no gradient to the decoder.
    """

    codes: Latents
    reconstructions: Images
    errors: PerSample
    real_posterior: Posterior | None
    reconstruction_posterior: Posterior
    fake_posterior: Posterior


class IntrospectiveGAN(GAN, Autoencoder):
    """The base class of models in which an encoder and a decoder are adversaries; models override `objective`.

    The score of an image is minus the divergence of its code from the standard normal. For the first `vae_warmup_kimg`
    thousand images both players minimize the cost of a variational autoencoder: the reconstruction error and the
    divergence, with the weights that the model gives them. With slices (`Training.accumulate_slices`) means are taken
    over a slice.

    The other arguments are described in the models.

    Args:
        generator: The decoder: it maps latents `batch latent_dim` to images.
        discriminator: The encoder: it maps images to the means and the logarithms of the variances of their codes.

    Raises:
        ValueError: for a negative warm-up, a loss, and training settings with which the decoder's turn does not follow
            the encoder's turn on the same images.
    """

    turns_are_independent: ClassVar[bool] = False
    extra_noises: ClassVar[int] = 0
    """How many batches of codes the objective samples in each turn, in addition to those of the real images."""

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
            raise ValueError(f"{name}: discriminator_turns=0 leaves no codes for the decoder's turn; set 1 or more")
        if training.generator_batch_multiple != 1:
            raise ValueError(
                f"{name}: generator_batch_multiple={training.generator_batch_multiple} must be 1, because the "
                "decoder's turn uses one code for each image of the encoder's turn"
            )
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            latent_dim=latent_dim,
            training=training,
        )
        self.vae_warmup_kimg = vae_warmup_kimg
        self.is_warming_up = False

    # ------------------------------------------------------------------ what a turn computes

    def draw_rows(self, count: int, random: torch.Generator) -> IntrospectiveDraws:
        """Draws latents, noise for the real images' codes, and noise for the codes that the objective samples."""
        width = self.latent_dim * (2 + self.extra_noises)
        rows = torch.randn(count, width, generator=random, device=random.device)
        latents, code_noise, *noises = torch.split(rows, self.latent_dim, dim=1)
        return IntrospectiveDraws(latents=latents, labels=None, code_noise=code_noise, codes=None, noises=tuple(noises))

    def draw(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Draws:
        """Draws for one turn; the decoder's turn gets the latents and the codes that the encoder's turn returned."""
        draws = super().draw(player, reals, batch=batch, turn=turn, left=left)
        # Set here and not in `cost`: a compiled graph would be specialised on the number of images seen.
        self.is_warming_up = self.kimg < self.vae_warmup_kimg
        if player == "generator":
            latents, codes = left
            assert isinstance(draws, IntrospectiveDraws)
            draws = replace(draws, latents=latents, codes=codes)
        return draws

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> IntrospectiveScores:
        """Encodes the real images (in the encoder's turn), reconstructs them, and encodes the decoder's images."""
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
        """The encoder's turn returns its latents, and the codes of the real images that it computed before its step."""
        assert isinstance(turn.scores, IntrospectiveScores)
        return (turn.latents, turn.scores.codes.detach()) if turn.player == "discriminator" else ()

    @final
    def warmup_objective(
        self, scores: IntrospectiveScores, *, reconstruction_weight: float, kl_weight: float
    ) -> dict[str, Scalar]:
        """The cost of a variational autoencoder, ``b_rec E r(x) + b_kl E KL(x)``; the decoder has only the first term.

        Args:
            scores: The scores of the turn.
            reconstruction_weight: b_rec, weight of the reconstruction error.
            kl_weight: b_kl, weight of the divergence.
        """
        terms = {"reconstruction": reconstruction_weight * scores.errors.mean()}
        if scores.real_posterior is not None:
            terms["kl"] = kl_weight * scores.real_posterior.energies.mean()
        return terms

    def posterior(self, images: Images) -> Posterior:
        """The distributions of the images' codes, from the encoder in its present mode."""
        return Posterior(*self.discriminate(images))

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Minus the divergence of the images' codes from the standard normal in nats, `batch 1`."""
        return -self.posterior(images).energies[:, None]

    # ------------------------------------------------------------------ the autoencoder

    @torch.no_grad()
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        """The means of the codes, `batch latent_dim`. The encoder has no average weights: `ema` has no effect."""
        with evaluation_mode(self.discriminator):
            return self.posterior(images).mean

    def encoding_network(self, *, ema: bool = True) -> nn.Module:
        """The encoder, which has no average weights: `ema` has no effect."""
        return self.discriminator

    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        """Images of codes in about [-1, 1], from the decoder or, with `ema`, from its average weights."""
        return self.sample(codes, clipped=False, ema=ema)
