"""One player's turn: what the forward passes of its networks gave."""

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
"""The two sides of the game; a turn is one side's move."""

PLAYERS: tuple[Player, Player] = ("discriminator", "generator")
"""Both players, in the order in which their optimizers stand."""

Critic: TypeAlias = Callable[[Images, Labels | None], Logits]
"""Scores images: ``critic(images, labels)``."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the discriminator makes of a turn's images. Models whose discriminators say more derive from it.

    Attributes:
        real_logits: scores of the real images; None in the generator's turn unless the loss asks for them.
        fake_logits: scores of the fakes.
        critic: scores other images in the same way.
    """

    real_logits: Logits | None
    fake_logits: FakeLogits
    critic: Critic


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Everything that a turn's forward passes gave, for the loss and the penalties.

    Attributes:
        player: whose turn it is.
        reals: the real samples of the turn.
        draws: what the fakes are made from.
        fake: the generator's images; without gradient to the generator in the discriminator's turn.
        scores: what the discriminator makes of the real images and of the fakes.
        generator: makes other images: ``generator(latents, labels)``.
        gradient_scale: factor that turns a gradient by these images into the gradient by the full-size image. It is 1,
            except while a network grows: the authors' critics are fed images upscaled by `f` per side, and the gradient
            by an upscaled image is 1/f of the gradient by the small one (in the norm).
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
        """Images of the data set, `batch channels height width`, in [-1, 1]."""
        return self.reals.images

    @property
    def labels(self) -> Labels | None:
        """The real images' labels, None without classes."""
        return self.reals.labels

    @property
    def latents(self) -> FakeLatents:
        """The generator's inputs."""
        return self.draws.latents

    @property
    def fake_labels(self) -> FakeLabels | None:
        """The labels that the fakes were made for, None without classes."""
        return self.draws.labels

    @property
    def real_logits(self) -> Logits | None:
        """Scores of the real images; None in the generator's turn unless the loss asks for them."""
        return self.scores.real_logits

    @property
    def fake_logits(self) -> FakeLogits:
        """Scores of the fakes."""
        return self.scores.fake_logits

    def critic(self, images: Images, labels: Labels | None) -> Logits:
        """Scores of other images, by the discriminator as it judged this turn's."""
        return self.scores.critic(images, labels)
