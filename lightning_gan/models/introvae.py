"""IntroVAE, "Introspective Variational Autoencoders for Photographic Image Synthesis".

Huang et al. 2018, arXiv:1807.06358; layers, losses and their order are those of the authors' code.

It is a variational autoencoder whose encoder is also the discriminator. The encoder learns codes near the standard
normal for real images, and codes with at least the divergence `margin` for the decoder's images. The decoder learns to
make images whose codes are near the standard normal. There is no third network.

In the authors' code the decoder gets the gradient of the reconstruction error from the encoder's backward pass, and
keeps it for its own step. Here the decoder's turn computes this gradient again, from the codes that the encoder gave
before its step; the numbers are the same. The decoder's turn computes fakes and reconstructions a second time, so that
the running averages of its batch normalization are updated twice per batch.
"""

from collections.abc import Mapping, Sequence

from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Turn
from lightning_gan.models.introspective import IntrospectiveGAN, IntrospectiveScores
from lightning_gan.models.introspective_networks import (
    Decoder,
    Encoder,
    LearnedShortcuts,
    NormalizedSum,
    WhereWidthsChange,
    channels_or_authors,
    mean_over_ranks,
)
from lightning_gan.penalties.reconstruction import margin_shortfall
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import PerSample, Scalar

CHANNELS: Mapping[int, Sequence[int]] = {
    # The authors' code has no sizes below 256x256; those for 32x32 and 128x128 are Soft-IntroVAE's.
    32: (64, 128, 256),
    64: (64, 128, 256, 512),  # ours, between its neighbours
    128: (64, 128, 256, 512, 512),
    256: (32, 64, 128, 256, 512, 512),
    1024: (16, 32, 64, 128, 256, 512, 512, 512),
}
"""Numbers of feature maps, by the size of the images in pixels; those at 256 and 1024 are in the authors' scripts."""


class IntroVAE(IntrospectiveGAN):
    """IntroVAE with the networks and weights of the authors' script for 256x256 as defaults.

    The authors train both networks with Adam at a learning rate of 0.0002 and betas (0.9, 0.999).

    Args:
        image_size: Height and width of the images in pixels.
        image_channels: Number of channels of the images.
        latent_dim: Size of a latent and of a code.
        channels: Numbers of feature maps at the images' size, and after every halving except the last. None takes those
            of the authors for this size (32, 128, 256 or 1024), or ours for 64.
        learned_shortcuts: Decides which residual blocks have a 1x1 convolution in their shortcut. None takes the blocks
            in which the number of feature maps changes (`WhereWidthsChange`). `AsIntroVAEWasRun` has more of them, like
            the networks that the authors trained.
        margin: m, the divergence in nats from the standard normal up to which the encoder increases that of the codes
            of the decoder's images.
        reconstruction_weight: w_rec, weight of the reconstruction error: the squared error summed over the pixels of
            images in [0, 1].
        kl_weight: w_kl, weight of all divergences.
        negative_weight: w_neg, weight of the hinge losses of the decoder's images. Half of it multiplies each of the
            two.
        vae_warmup_kimg: Length of the first phase in thousands of images, in which the model is trained as a
            variational autoencoder: the reconstruction error and the divergence, each with weight 1.
        batch_norm_across_ranks: True takes the statistics of batch normalization over the batches of all ranks, False
            over each rank's own.

    Raises:
        ValueError: for channels that do not fit the size, negative weights, and training settings with which the
            decoder's turn does not follow the encoder's turn on the same images.
    """

    generator: Decoder
    discriminator: Encoder
    generator_ema: Decoder

    def __init__(
        self,
        *,
        image_size: int = 256,
        image_channels: int = 3,
        latent_dim: int = 512,
        channels: list[int] | None = None,
        learned_shortcuts: LearnedShortcuts | None = None,
        margin: float = 120.0,
        reconstruction_weight: float = 0.05,
        kl_weight: float = 1.0,
        negative_weight: float = 0.5,
        vae_warmup_kimg: float = 0.0,
        batch_norm_across_ranks: bool = True,
        training: Training = Training(),
    ) -> None:
        check_at_least(1, image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
        check_at_least(
            0,
            margin=margin,
            reconstruction_weight=reconstruction_weight,
            kl_weight=kl_weight,
            negative_weight=negative_weight,
            vae_warmup_kimg=vae_warmup_kimg,
        )
        weights = {
            "margin": margin,
            "reconstruction_weight": reconstruction_weight,
            "kl_weight": kl_weight,
            "negative_weight": negative_weight,
        }
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"IntroVAE: {name}={weight} must not be negative")
        widths = channels_or_authors(channels, CHANNELS, image_size=image_size)
        shortcuts = WhereWidthsChange() if learned_shortcuts is None else learned_shortcuts
        super().__init__(
            generator=Decoder(
                image_size=image_size,
                image_channels=image_channels,
                latent_dim=latent_dim,
                channels=widths,
                residual_sum=NormalizedSum(),
                learned_shortcuts=shortcuts,
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            discriminator=Encoder(
                image_size=image_size,
                image_channels=image_channels,
                latent_dim=latent_dim,
                channels=widths,
                residual_sum=NormalizedSum(),
                learned_shortcuts=shortcuts,
                batch_norm_across_ranks=batch_norm_across_ranks,
            ),
            latent_dim=latent_dim,
            vae_warmup_kimg=vae_warmup_kimg,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("learned_shortcuts"))
        self.margin = margin
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.negative_weight = negative_weight

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """The costs of the encoder L_E and of the decoder L_G (the paper's), with the weights of the authors' code.

        ``L_E = w_rec r(x) + w_kl (KL(x) + w_neg / 2 ([m - KL(x_r)]_+ + [m - KL(x_p)]_+))`` and
        ``L_G = w_rec r(x) + w_kl / 2 (KL(x_r) + KL(x_p))``. Here ``x_r`` are the reconstructions, ``x_p`` the fakes,
        and ``r`` is the error of reconstructing an image.
        """
        scores = turn.scores
        assert isinstance(scores, IntrospectiveScores)
        if self.is_warming_up:
            return self.warmup_objective(scores, reconstruction_weight=1.0, kl_weight=1.0)
        reconstruction = self.reconstruction_weight * scores.errors.mean()
        of_reconstructions, of_fakes = scores.reconstruction_posterior.energies, scores.fake_posterior.energies
        if scores.real_posterior is None:
            adversarial = self.kl_weight / 2 * (of_reconstructions.mean() + of_fakes.mean())
            return {"reconstruction": reconstruction, "adversarial": adversarial}
        hinges = self._hinge(of_reconstructions) + self._hinge(of_fakes)
        return {
            "reconstruction": reconstruction,
            "kl": self.kl_weight * scores.real_posterior.energies.mean(),
            "adversarial": self.kl_weight * self.negative_weight / 2 * hinges,
        }

    def _hinge(self, energies: PerSample) -> Scalar:
        return margin_shortfall(energies, margin=self.margin, batch_mean=mean_over_ranks(energies))
