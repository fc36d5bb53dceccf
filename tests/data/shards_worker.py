"""Trains toys on shards on every rank that started it and writes the final weights: `test_shards.py` compares them."""

import os
import sys
from pathlib import Path

import torch

from lightning_gan.data import ImageShards
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.data.data_sets import SIZE
from tests.equality import start_of
from tests.toys import ToyCritic, ToyGenerator, fast_adam, toy_trainer


def main(folder: Path) -> None:
    torch.manual_seed(7)
    module = GAN(
        generator=ToyGenerator(),
        discriminator=ToyCritic(),
        latent_dim=4,
        training=Training(generator_optimizer=fast_adam, discriminator_optimizer=fast_adam),
    )
    start = start_of(module)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    data = ImageShards(
        address=str(folder / "d"), image_size=SIZE, image_channels=1, batch_size=8, number_of_workers=1, mirror=True
    )
    trainer = toy_trainer(
        max_steps=12, max_epochs=-1, precision="64-true", devices=ranks, strategy="gan_ddp" if ranks > 1 else "auto"
    )
    trainer.fit(module, data)
    assert trainer.world_size == ranks
    if trainer.is_global_zero:
        torch.save({**module.state_dict(), **start}, folder / f"{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
