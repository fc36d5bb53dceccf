"""Turns made by hand, of networks that are a few numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.turn import Player, Scores, Turn


def turn_of(
    player: Player = "discriminator",
    *,
    critic: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    real: Tensor,
    latents: Tensor,
) -> Turn:
    """What the loop would show of these networks."""
    fake = generator(latents) if player == "generator" else generator(latents).detach()
    return turn_with(
        real_logits=critic(real) if player == "discriminator" else None,
        fake_logits=critic(fake),
        real=real,
        fake=fake,
        latents=latents,
        player=player,
        critic=critic,
        generator=generator,
    )


def turn_with(
    *,
    real_logits: Tensor | None,
    fake_logits: Tensor,
    real: Tensor,
    fake: Tensor,
    latents: Tensor | None = None,
    player: Player = "discriminator",
    critic: Callable[[Tensor], Tensor] | None = None,
    generator: Callable[[Tensor], Tensor] | None = None,
    gradient_scale: float = 1.0,
) -> Turn:
    """A turn of these images and scores, without labels; without a critic all other images score as the fakes."""
    return Turn(
        player=player,
        reals=Reals(images=real, labels=None),
        draws=Draws(latents=torch.zeros(len(fake), 1) if latents is None else latents, labels=None),
        fake=fake,
        scores=Scores(
            real_logits=real_logits,
            fake_logits=fake_logits,
            critic=lambda images, labels: fake_logits if critic is None else critic(images),
        ),
        generator=lambda latents, labels: fake if generator is None else generator(latents),
        gradient_scale=gradient_scale,
    )
