"""Trains a small growing StyleGAN on every rank that started it, with all figures: for `test_figures_on_two_ranks.py`.

Run as `python -m tests.callbacks.figures.figures_worker FOLDER`, with or without `torch.distributed.run`. The networks
draw neither noise nor mixed styles while they train: that would be each rank's own.
"""

import os
import sys
from pathlib import Path

import torch

from lightning_gan.callbacks import EMA, ProgressiveGrowing, StopAtKimg
from lightning_gan.callbacks.figures.growing_grid import GrowingGrid
from lightning_gan.callbacks.figures.sample_sheets import SampleSheets, TruncationSweep
from lightning_gan.callbacks.figures.style_figures import NoiseComparison, StyleMixingGrid
from lightning_gan.models.stylegan import StyleGAN
from tests.callbacks.training.growing_toys import ToyData
from tests.toys import FAST, toy_trainer

STRATEGIES = ("gan_ddp", "gan_fsdp")


def draw(folder: Path, *, strategy: str, ranks: int) -> None:
    """Train from 4x4 to 8x8 in double precision, with pictures at both resolutions."""
    torch.manual_seed(7)
    module = StyleGAN(
        image_size=8,
        image_channels=1,
        latent_dim=8,
        style_dim=8,
        mapping_layers=1,
        mapping_width=8,
        channel_base=32,
        channel_max=8,
        style_mixing=0.0,
        minibatch_stddev_group=1,
        training=FAST,
    )
    for name, parameter in module.generator.named_parameters():
        if name.endswith("noise_weight"):
            parameter.requires_grad_(False)  # stays 0
    directory = str(folder)
    trainer = toy_trainer(
        ProgressiveGrowing(hold_kimg=0.008, fade_kimg=0.008),
        EMA(half_life_kimg=0.01),
        # First those that take the networks apart: nothing has sampled the average before them.
        StyleMixingGrid(every_kimg=0.008, directory=directory),
        NoiseComparison(every_kimg=0.008, measured_realizations=4, directory=directory),
        GrowingGrid(directory=directory),
        TruncationSweep(truncations=[1.0], directory=directory),  # others are tried before training
        SampleSheets(sheets=1, rows=2, directory=directory),
        StopAtKimg(total_kimg=0.024),
        max_epochs=-1,
        limit_val_batches=0,
        precision="64-true",
        devices=ranks,
        strategy=strategy,
    )
    trainer.fit(module, ToyData())
    assert trainer.world_size == ranks and module.images_seen == 24


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        draw(folder / strategy, strategy=strategy, ranks=ranks)
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
