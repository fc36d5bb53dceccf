"""Trains a small R3GAN with all of its schedules on every rank that started it, for `test_r3gan.py`.

Run as `python -m tests.models.r3gan_worker FOLDER`, with or without `torch.distributed.run`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch

from lightning_gan.callbacks import EMA, R1, R2, AdamBetas, LearningRate, PowerFunctionEMA, StopAtKimg
from lightning_gan.loop.settings import Training
from lightning_gan.models import R3GAN
from lightning_gan.models.r3gan_networks import ResidualBlock
from lightning_gan.optimizers import GANAdam
from lightning_gan.schedules import Cosine, CosineDecay
from tests.callbacks.training.growing_worker import Images16
from tests.equality import start_of
from tests.toys import toy_trainer

IMAGES = 48


def steady_adam(parameters: Any) -> GANAdam:
    """Large steps, but none along gradients that are mere rounding."""
    return GANAdam(parameters, lr=0.02, eps=1e-4)


def main(folder: Path) -> None:
    """Train in double precision and save the weights, how they began, and the averages."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    torch.manual_seed(7)
    module = R3GAN(
        image_size=16,
        latent_dim=8,
        widths=[8, 8, 4],
        group_width=4,
        blocks_per_stage=1,
        training=Training(generator_optimizer=steady_adam, discriminator_optimizer=steady_adam),
    )
    for block in module.modules():
        if isinstance(block, ResidualBlock):
            torch.nn.init.normal_(block.conv3.weight, std=0.1)
    start = start_of(module)
    falls = CosineDecay(end_kimg=0.06, final_factor=0.1)
    trainer = toy_trainer(
        R1(gamma=1.0, weight_schedule=falls),
        R2(gamma=1.0, weight_schedule=falls),
        LearningRate(schedules=[falls]),
        AdamBetas(beta2=Cosine(first=0.9, last=0.99, end_kimg=0.06)),
        EMA(half_life_kimg=Cosine(first=0.0, last=0.02, end_kimg=0.06)),
        PowerFunctionEMA(every_kimg=0.016, dirpath=str(folder / f"averages_{ranks}")),
        StopAtKimg(total_kimg=IMAGES / 1000),
        max_epochs=-1,
        limit_val_batches=0,
        precision="64-true",
        devices=ranks,
        strategy="gan_ddp" if ranks > 1 else "auto",
    )
    trainer.fit(module, Images16())
    assert trainer.world_size == ranks and module.images_seen == IMAGES
    if trainer.is_global_zero:
        torch.save({**module.state_dict(), **start}, folder / f"{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
