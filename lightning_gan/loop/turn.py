"""The results of the forward passes of one player's turn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.tensors.shapes import (
    FakeImages,
    FakeLabels,
    FakeLatents,
    FakeLogits,
    Images,
    Labels,
    Latents,
    Logits,
)

Player: TypeAlias = Literal["discriminator", "generator"]
"""The two players. A turn is one player's optimizer step."""

PLAYERS: tuple[Player, Player] = ("discriminator", "generator")
"""Both players, in the order of their optimizers."""

Critic: TypeAlias = Callable[[Images, Labels | None], Logits]
"""Function that returns the discriminator's raw scores of images: ``critic(images, labels)``."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The discriminator's scores of a turn's images. Models whose discriminator has more outputs derive from it.

    Attributes:
        real_logits: raw scores of the real images; None in the generator's turn unless the loss needs them.
        fake_logits: raw scores of the fakes.
        critic: function that scores other images in the same way.
    """

    real_logits: Logits | None
    fake_logits: FakeLogits
    critic: Critic


@dataclass(frozen=True, kw_only=True)
class Turn:
    """All results of a turn's forward passes, from which the loss and the penalties are computed.

    Attributes:
        player: player whose turn it is.
        reals: real samples of the turn.
        draws: latents and labels that the fakes are made from.
        fake: fakes of the turn. In the discriminator's turn they have no gradient to the generator.
        scores: the discriminator's scores of the real images and of the fakes.
        generator: function that makes other images: ``generator(latents, labels)``.
        gradient_scale: factor that converts a gradient with respect to these images into the gradient with respect to
            the full-size image. It is 1, except while a network grows: the discriminators of the authors take images
            that are upscaled by a factor f per side, and the norm of the gradient with respect to an upscaled image is
            1/f of the norm with respect to the small one.
    """

    player: Player
    reals: Reals
    draws: Draws
    fake: FakeImages
    scores: Scores
    generator: Callable[[Latents, Labels | None], Images]
    gradient_scale: float = 1.0

    @property
    def real(self) -> Images:
        """The real images in [-1, 1], `batch channels height width`."""
        return self.reals.images

    @property
    def labels(self) -> Labels | None:
        """The labels of the real images; None without classes."""
        return self.reals.labels

    @property
    def latents(self) -> FakeLatents:
        """The latents that the fakes are made from, `fakes latent_dim`."""
        return self.draws.latents

    @property
    def fake_labels(self) -> FakeLabels | None:
        """The labels of the fakes; None without classes."""
        return self.draws.labels

    @property
    def real_logits(self) -> Logits | None:
        """Raw scores of the real images; None in the generator's turn unless the loss needs them."""
        return self.scores.real_logits

    @property
    def fake_logits(self) -> FakeLogits:
        """Raw scores of the fakes."""
        return self.scores.fake_logits

    def critic(self, images: Images, labels: Labels | None) -> Logits:
        """Raw scores of other images, computed by the discriminator in the same way as those of this turn.

        Args:
            images: images in about [-1, 1], `batch channels height width`.
            labels: labels of the images; None without classes.
        """
        return self.scores.critic(images, labels)

    def score_reals(self, images: Images) -> Logits:
        """Raw scores of images that replace the first real images of the turn, with the labels of these.

        Args:
            images: images in about [-1, 1], at most as many as the turn has real images.
        """
        return self.critic(images, None if self.labels is None else self.labels[: len(images)])

    def score_fakes(self, images: FakeImages) -> FakeLogits:
        """Raw scores of images that replace the first fakes of the turn, with the labels of these.

        Args:
            images: images in about [-1, 1], at most as many as the turn has fakes.
        """
        return self.critic(images, None if self.fake_labels is None else self.fake_labels[: len(images)])
