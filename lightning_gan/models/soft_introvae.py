"""Soft-IntroVAE, "Analyzing and Improving the Introspective Variational Autoencoder".

Daniel and Tamar 2021, arXiv:2012.13253; layers, losses and their order are those of the authors' code.

It is IntroVAE without the hard margin. The encoder moves the codes of the decoder's images away from the standard
normal by minimizing the exponential of a weighted evidence lower bound, which has no threshold to choose. For this
bound the decoder's images are encoded and reconstructed again. Residual blocks have their second batch normalization in
the branch.

The decoder's turn computes fakes and reconstructions a second time, so that the running averages of its batch
normalization are updated twice per batch.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Turn
from lightning_gan.models.introspective import IntrospectiveDraws, IntrospectiveGAN, IntrospectiveScores, Posterior
from lightning_gan.models.introspective_networks import (
    Decoder,
    Encoder,
    NormalizedBranch,
    WhereWidthsChange,
    channels_or_authors,
)
from lightning_gan.penalties.reconstruction import exponential_evidence, reconstruction_error
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Latents, PerSample, Scalar

CHANNELS: Mapping[int, Sequence[int]] = {
    28: (64, 128),
    32: (64, 128, 256),
    64: (64, 128, 256, 512),  # ours, between its neighbours
    128: (64, 128, 256, 512, 512),
    256: (64, 128, 256, 512, 512, 512),
    1024: (16, 32, 64, 128, 256, 512, 512, 512),
}
"""The authors' numbers of feature maps, by the height and width of the images in pixels."""


class SoftIntroVAE(IntrospectiveGAN):
    """Soft-IntroVAE with the networks and weights of the authors' CIFAR-10 settings as defaults.

    The authors train both networks with Adam at a learning rate of 0.0002 and betas (0.9, 0.999), for 250 epochs on
    CIFAR-10. Their code divides the learning rate by 10 from epoch 350 on, which only longer runs reach.

    Args:
        image_size: Height and width of the images in pixels.
        image_channels: Number of channels of the images.
        latent_dim: Size of a latent and of a code.
        channels: Numbers of feature maps at the images' size, and after every halving except the last. None takes those
            of the authors for this size (28, 32, 128, 256 or 1024), or ours for 64.
        reconstruction_weight: beta_rec, weight of the reconstruction error: the squared error summed over the pixels of
            images in [0, 1].
        kl_weight: beta_kl, weight of the divergence of real images' codes in the encoder's cost, and of the decoder's
            images' codes in the decoder's cost.
        negative_weight: beta_neg, weight of the divergence in the exponential.
        feedback_weight: gamma_r, weight of the error of reconstructing the decoder's own images, in the decoder's cost.
        vae_warmup_kimg: Length of the first phase in thousands of images, in which the model is trained as a
            variational autoencoder with the cost ``s (b_rec r(x) + b_kl KL(x))``; the authors' code has no factor s
            there.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for channels that do not fit the size, negative weights, and training settings with which the
            decoder's turn does not follow the encoder's turn on the same images.
    """

    extra_noises: ClassVar[int] = 2

    generator: Decoder
    discriminator: Encoder
    generator_ema: Decoder

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        latent_dim: int = 128,
        channels: list[int] | None = None,
        reconstruction_weight: float = 1.0,
        kl_weight: float = 1.0,
        negative_weight: float = 256.0,
        feedback_weight: float = 1e-8,
        vae_warmup_kimg: float = 0.0,
        batch_norm_across_ranks: bool = True,
        training: Training = Training(),
    ) -> None:
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(
            0,
            reconstruction_weight=reconstruction_weight,
            kl_weight=kl_weight,
            negative_weight=negative_weight,
            feedback_weight=feedback_weight,
            vae_warmup_kimg=vae_warmup_kimg,
        )
        weights = {
            "reconstruction_weight": reconstruction_weight,
            "kl_weight": kl_weight,
            "negative_weight": negative_weight,
            "feedback_weight": feedback_weight,
        }
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"SoftIntroVAE: {name}={weight} must not be negative")
        widths = channels_or_authors(channels, CHANNELS, image_size=image_size)
        super().__init__(
            generator=Decoder(
                image_size=image_size,
                image_channels=image_channels,
                latent_dim=latent_dim,
                channels=widths,
                residual_sum=NormalizedBranch(),
                learned_shortcuts=WhereWidthsChange(),
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            discriminator=Encoder(
                image_size=image_size,
                image_channels=image_channels,
                latent_dim=latent_dim,
                channels=widths,
                residual_sum=NormalizedBranch(),
                learned_shortcuts=WhereWidthsChange(),
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            latent_dim=latent_dim,
            vae_warmup_kimg=vae_warmup_kimg,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.negative_weight = negative_weight
        self.feedback_weight = feedback_weight

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """The costs of the encoder L_E and of the decoder L_D, as in the authors' code.

        ``L_E = s (b_rec r(x) + b_kl KL(x)) + 1/4 sum_y E exp(-2 s (b_rec r(y) + b_neg KL(y)))`` and
        ``L_D = s (b_rec r(x) + b_kl / 2 sum_y KL(y) + g_r / 2 b_rec sum_y r(y))``. Here ``y`` are the reconstructions
        and the fakes, ``r`` is the error of reconstructing an image, and ``s`` is 1 over the number of values of an
        image.
        """
        scores, draws = turn.scores, turn.draws
        assert isinstance(scores, IntrospectiveScores) and isinstance(draws, IntrospectiveDraws)
        scale = 1 / turn.real[0].numel()
        if self.is_warming_up:
            # The authors do not scale these terms. With a larger cost here than later, Adam's second moments would stay
            # too large for about ten thousand steps.
            terms = self.warmup_objective(
                scores, reconstruction_weight=self.reconstruction_weight, kl_weight=self.kl_weight
            )
            return {name: scale * term for name, term in terms.items()}
        of_reconstructions, of_fakes = scores.reconstruction_posterior, scores.fake_posterior
        for_reconstructions, for_fakes = draws.noises
        again = self._errors_again(scores.reconstructions, of_reconstructions, for_reconstructions, turn=turn)
        fakes_again = self._errors_again(turn.fake, of_fakes, for_fakes, turn=turn)
        reconstruction = scale * self.reconstruction_weight * scores.errors.mean()
        if scores.real_posterior is None:
            energies = of_reconstructions.energies.mean() + of_fakes.energies.mean()
            errors = again.mean() + fakes_again.mean()
            return {
                "reconstruction": reconstruction,
                "adversarial": scale * self.kl_weight / 2 * energies,
                "feedback": scale * self.feedback_weight / 2 * self.reconstruction_weight * errors,
            }
        evidence = [
            exponential_evidence(
                errors,
                posterior.energies,
                scale=scale,
                error_weight=self.reconstruction_weight,
                energy_weight=self.negative_weight,
            )
            for errors, posterior in ((again, of_reconstructions), (fakes_again, of_fakes))
        ]
        return {
            "reconstruction": reconstruction,
            "kl": scale * self.kl_weight * scores.real_posterior.energies.mean(),
            "adversarial": (evidence[0] + evidence[1]) / 4,
        }

    def _errors_again(self, images: Images, posterior: Posterior, noise: Latents, *, turn: Turn) -> PerSample:
        """Errors of reconstructing the decoder's images, with the gradients of the authors' code.

        In the decoder's turn the images and their codes pass no gradient. In the encoder's turn both do: the target of
        the second reconstruction is the first one, not detached, whose gradient the encoder gets through the frozen
        decoder and the code of the real image.
        """
        codes = posterior.sample(noise)
        if turn.player == "generator":
            images, codes = images.detach(), codes.detach()
        return reconstruction_error(images, self.generate(codes, None))
