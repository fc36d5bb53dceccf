"""Every regularizer works with every objective: two steps each, with a small critic. New ones are found."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from lightning_gan import callbacks
from lightning_gan.callbacks.regularizers.adaptive_probability import AdaptiveProbability
from lightning_gan.layers.gaussian_code import GaussianCode, reparametrized
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.losses import (
    FGAN,
)
from tests.parts import all_losses, made, regularizers
from tests.toys import SIZE, toy_loader, toy_trainer


class Synthesis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, SIZE * SIZE)

    def forward(self, styles: Tensor) -> Tensor:
        images: Tensor = self.layer(styles.mean(dim=1)).view(-1, 1, SIZE, SIZE)
        return images


class Mapping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(latents)[:, None].expand(-1, 2, -1)  # batch layers style


class StyledGenerator(nn.Module):
    """With a mapping and a synthesis, for path length."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = Mapping()
        self.synthesis = Synthesis()

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.synthesis(self.mapping(latents))
        return images


class CodingCritic(nn.Module):
    """With dropout, for the consistency term, and a bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.bottleneck = GaussianCode(4 * SIZE * SIZE, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        mean, log_variance = self.bottleneck(self.dropout(self.conv(images).tanh()).flatten(1))
        logits: Tensor = self.output(reparametrized(mean, log_variance))
        return logits


REGULARIZERS, LOSSES = regularizers(), all_losses()
PAIRS = list(itertools.product(range(len(REGULARIZERS)), range(len(LOSSES))))


def name_of(pair: tuple[int, int]) -> str:
    loss = LOSSES[pair[1]]
    of = type(loss.divergence).__name__ if isinstance(loss, FGAN) else ""
    return f"{REGULARIZERS[pair[0]].__name__}-{type(loss).__name__}{of}"


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_it_trains_for_two_steps(pair: tuple[int, int]) -> None:
    """All values and weights stay finite, and both networks move."""
    torch.manual_seed(0)
    regularizer, loss = made(REGULARIZERS[pair[0]]), LOSSES[pair[1]]
    module = GAN(generator=StyledGenerator(), discriminator=CodingCritic(), latent_dim=4, training=Training(loss=loss))
    if isinstance(regularizer, AdaptiveProbability) and (loss.neutral_score is None or loss.ignores_shifts):
        with pytest.raises(ValueError, match="the loss has no score that lies between real images and fakes"):
            toy_trainer(regularizer).fit(module, toy_loader())
        return
    before = [parameter.detach().clone() for parameter in module.parameters()]
    trainer = toy_trainer(regularizer, limit_train_batches=2)
    trainer.fit(module, toy_loader())
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())
    trained = (*module.generator.parameters(), *module.discriminator.parameters())
    moved = sum(not any(torch.equal(p, b) for b in before if b.shape == p.shape) for p in trained)
    assert moved >= len(trained) - 1  # the last bias alone may stay: relativistic scores do not feel it


def test_a_gradient_penalty_beside_batch_normalization_warns_with_the_reason() -> None:
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * SIZE * SIZE, 1)
    )
    module = GAN(generator=StyledGenerator(), discriminator=critic, latent_dim=4)
    with pytest.warns(UserWarning, match="batch"):
        toy_trainer(callbacks.R1(), limit_train_batches=1).fit(module, toy_loader())
