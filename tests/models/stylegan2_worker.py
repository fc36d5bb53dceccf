"""Trains a small StyleGAN2 on every rank that started it; `test_stylegan2.py` compares weights and the mean length.

Run as `python -m tests.models.stylegan2_worker FOLDER`, or by `python -m torch.distributed.run --nproc_per_node=2 -m`.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.callbacks import EMA, R1, PathLength
from lightning_gan.models import StyleGAN2
from tests.equality import start_of
from tests.models.vgan_worker import STRATEGIES, Pictures
from tests.toys import FAST, toy_trainer


def train(*, strategy: str, ranks: int) -> dict[str, Tensor]:
    """All weights after six batches, in double precision, and the running mean of the path lengths."""
    torch.manual_seed(7)
    module = StyleGAN2(
        **{"image_size": 8, "image_channels": 1, "latent_dim": 4, "style_dim": 4, "mapping_layers": 2},
        channel_base=64,
        channel_max=6,
        # A group of the minibatch standard deviation lies within one rank.
        minibatch_stddev_group=1,
        training=FAST,
    )
    start = start_of(module)
    path_length = PathLength(every_n_turns=2)
    trainer = toy_trainer(
        path_length,
        R1(gamma=1.0, every_n_turns=2),
        EMA(half_life_kimg=0.02),
        max_steps=6,
        max_epochs=-1,
        precision="64-true",
        devices=ranks,
        strategy=strategy,
    )
    trainer.fit(module, Pictures())
    assert (trainer.world_size, module.images_seen) == (ranks, 48)
    weights = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
    return {**weights, **start, "mean_length": path_length.state}


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        weights = train(strategy=strategy, ranks=ranks)
        if int(os.environ.get("RANK", "0")) == 0:
            torch.save(weights, folder / f"{strategy}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
