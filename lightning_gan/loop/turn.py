"""A player's turn: what one look brought to light."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

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


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Everything that one look of a player brought to light, for the loss and the penalties.

    Attributes:
        player: whose move it is.
        real: images of the data set, `batch channels height width`, in [-1, 1].
        labels: the real images' labels, None without classes.
        latents: the generator's inputs.
        fake: the generator's images; without gradient to the generator in the discriminator's turn.
        fake_labels: the labels the fakes were made for, None without classes.
        real_logits: scores of the real images; None in the generator's turn unless the loss asks for them.
        fake_logits: scores of the fakes.
        critic: scores other images again: `critic(images, labels)`.
        generator: makes other images: `generator(latents, labels)`.
        gradient_scale: what turns a gradient by these images into the gradient by the full-size image. 1, except while
            a network grows: the authors' critics are fed images upscaled by `f` per side, and the gradient by an
            upscaled image is 1/f of the gradient by the small one (in the norm).
    """

    player: Player
    real: Images
    labels: Labels | None
    latents: FakeLatents
    fake: FakeImages
    fake_labels: FakeLabels | None
    real_logits: Logits | None
    fake_logits: FakeLogits
    critic: Callable[[Images, Labels | None], Logits]
    generator: Callable[[Latents, Labels | None], Images]
    gradient_scale: float = 1.0
