"""Trains a generator with batch normalization on every rank: `test_standing_statistics.py` compares the weights.

Run it with FOLDER as its argument, by `python -m torch.distributed.run --nproc_per_node=2`, or by `python` alone.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_gan.callbacks import EMA
from lightning_gan.callbacks.training.standing_statistics import StandingStatistics
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.gan import GAN
from tests.equality import start_of
from tests.loop.distributed_worker import Toys
from tests.toys import FAST, LATENT, SIZE, ToyCritic, toy_trainer


class NormalizedGenerator(nn.Module):
    """The toy generator with one batch normalization over all ranks."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, LATENT) if classes else None
        self.hidden = nn.Linear(LATENT, 8, bias=False)  # the normalization takes every bias away
        self.norm = BatchNorm(8, across_ranks=True)
        self.output = nn.Linear(8, SIZE * SIZE)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embedding is not None and labels is not None:
            latents = latents + self.embedding(labels)
        images: Tensor = self.output(self.norm(self.hidden(latents)).tanh()).view(-1, 1, SIZE, SIZE)
        return images


def normalized_gan(*, classes: int = 0) -> GAN:
    torch.manual_seed(7)
    return GAN(
        generator=NormalizedGenerator(classes=classes),
        discriminator=ToyCritic(classes=classes),
        latent_dim=LATENT,
        number_of_classes=classes,
        training=FAST,
    )


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    module = normalized_gan()
    start = start_of(module)
    callbacks = [EMA(half_life_kimg=0.02, average_statistics=True), StandingStatistics(forwards=3, batch_size=5)]
    trainer = toy_trainer(
        *callbacks,
        max_steps=6,
        max_epochs=-1,
        precision="64-true",
        devices=ranks,
        strategy="gan_ddp" if ranks > 1 else "auto",
    )
    trainer.fit(module, Toys())
    assert trainer.world_size == ranks
    if trainer.is_global_zero:
        torch.save({**module.state_dict(), **start}, folder / f"ranks{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
