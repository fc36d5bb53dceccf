"""One batch of an introspective model as it was played, and the pieces to derive it again in the authors' order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.loop.settings import Training
from lightning_gan.models.introspective import IntrospectiveGAN
from lightning_gan.tensors.seeds import derived_seed
from tests.models.training import random_loader
from tests.toys import Spy, toy_trainer

SIZE, LATENT, BATCH = 8, 3, 4
SMALL: dict[str, Any] = {"image_size": SIZE, "image_channels": 1, "latent_dim": LATENT, "channels": [2, 3]}
LEARNING_RATE = 0.05

sgd = partial(torch.optim.SGD, lr=LEARNING_RATE)
"""A step that is easily taken again."""


@dataclass
class Played:
    """What one batch did, in double precision.

    Attributes:
        encoder: a copy from before the batch.
        decoder: likewise.
        images: the real images, in the authors' [0, 1].
        noise: columns that were drawn in the encoder's and in the decoder's turn.
        gradients: of the encoder's parameters before its step, and of the decoder's before its own, by name.
        terms: what was logged.
    """

    encoder: nn.Module
    decoder: nn.Module
    images: Tensor
    noise: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    gradients: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)


def play(build: Callable[..., IntrospectiveGAN], **settings: Any) -> Played:
    """Train a small model on one batch."""
    torch.manual_seed(0)
    module = build(
        training=Training(generator_optimizer=sgd, discriminator_optimizer=sgd), **{**SMALL, **settings}
    ).double()
    copies = build(**{**SMALL, **settings}).double()
    copies.load_state_dict(module.state_dict())
    draws = []
    for turn in (0, 1):
        random = torch.Generator().manual_seed(derived_seed(0, "latents", 0, turn))
        columns = LATENT * (2 + module.extra_noises)
        draws.append(torch.randn(BATCH, columns, generator=random, dtype=torch.float64).split(LATENT, dim=1))
    loader = random_loader(size=SIZE, count=BATCH)
    (images,) = next(iter(loader))
    played = Played(
        encoder=copies.discriminator,
        decoder=copies.generator,
        images=(images.double() + 1) / 2,
        noise=(draws[0], draws[1]),
    )

    def see(player: str, gan: Any) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        played.gradients[player] = {name: p.grad.clone() for name, p in network.named_parameters()}

    toy_trainer(Spy(see), precision="64-true").fit(module, loader)
    played.terms = {name: float(term) for name, term in module._latest_terms.items()}
    return played


def images_of(decoder: nn.Module, codes: Tensor) -> Tensor:
    """In the authors' [0, 1]."""
    images: Tensor = (decoder(codes) + 1) / 2
    return images


def codes_of(encoder: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the variance, from images in [0, 1]."""
    mean, log_variance = encoder(2 * images - 1)
    return mean, log_variance


def sampled(code: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    """``mu + exp(log_variance / 2) * noise``."""
    mean, log_variance = code
    return mean + torch.exp(log_variance / 2) * noise


def divergences(code: tuple[Tensor, Tensor]) -> Tensor:
    """``-1/2 sum (1 + log_variance - mu^2 - exp(log_variance))``, of each image."""
    mean, log_variance = code
    return -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum(dim=1)


def errors(images: Tensor, others: Tensor) -> Tensor:
    """Squared differences, summed over an image's pixels."""
    return ((images - others) ** 2).flatten(1).sum(dim=1)


@torch.no_grad()
def descend(network: nn.Module) -> None:
    """One step of plain gradient descent."""
    for parameter in network.parameters():
        assert parameter.grad is not None
        parameter -= LEARNING_RATE * parameter.grad


def assert_gradients(network: nn.Module, expected: dict[str, Tensor]) -> None:
    """Every parameter's gradient, in double precision."""
    found = {name: p.grad for name, p in network.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert gradient is not None, name
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-9, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}"
        )
