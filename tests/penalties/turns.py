"""Turns made by hand, of networks that are a few numbers."""

from collections.abc import Callable

from torch import Tensor

from lightning_gan.loop.turn import Player, Turn


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
    return Turn(
        player=player,
        real=real,
        labels=None,
        latents=latents,
        fake=fake,
        fake_labels=None,
        real_logits=critic(real) if player == "discriminator" else None,
        fake_logits=critic(fake),
        critic=lambda images, labels: critic(images),
        generator=lambda latents, labels: generator(latents),
    )
