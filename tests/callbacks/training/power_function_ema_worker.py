"""Trains toys with power-function averages on every rank: `test_power_function_ema.py` compares the saved averages.

Run it with FOLDER as its argument, by `python -m torch.distributed.run --nproc_per_node=2`, or by `python` alone.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from lightning.pytorch import Trainer

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks import PowerFunctionEMA, reconstructed_ema
from lightning_gan.callbacks.training import power_function_ema
from lightning_gan.loop.gan import GAN
from tests.callbacks.regularizers.gradient_penalty_worker import STRATEGIES
from tests.foreign.games import Game, fit, randoms
from tests.loop.distributed_worker import Deep, Toys
from tests.toys import FAST, ToyGenerator, toy_trainer

RANK = int(os.environ.get("RANK", "0"))


@contextmanager
def written_late(path: Path) -> Iterator[IO[bytes]]:
    """As on a slow disk, so that another rank would read the folder before it has the file."""
    time.sleep(0.5)
    with written_whole(path) as file:
        yield file


def train(folder: Path, *, steps: int, strategy: str, ranks: int, resume: Path | None = None) -> Trainer:
    """Train for batches of 8 images in double precision, with averages after every second batch."""
    torch.manual_seed(7)
    module = GAN(generator=ToyGenerator(), discriminator=Deep(), latent_dim=4, training=FAST)
    settings = {"max_epochs": -1, "precision": "64-true", "devices": ranks, "strategy": strategy}
    trainer = toy_trainer(PowerFunctionEMA(every_kimg=0.016, dirpath=str(folder)), max_steps=steps, **settings)
    trainer.fit(module, Toys(), ckpt_path=resume)
    assert trainer.world_size == ranks
    return trainer


def files_at_the_end(folder: Path, *, ranks: int) -> int:
    """Number of files that a rank reads when the training of another module has ended."""
    callback = PowerFunctionEMA(every_kimg=0.016, dirpath=str(folder), generator="G")
    settings = {"devices": ranks, "strategy": "ddp_find_unused_parameters_true", "max_epochs": 1}
    fit(Game, randoms(1, 4, 4, count=16 * ranks), callback, **settings)
    return reconstructed_ema(folder, relative_width=0.1).files


def main(folder: Path) -> None:
    power_function_ema.written_whole = written_late
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        train(folder / strategy, steps=6, strategy=strategy, ranks=ranks)
        cut, checkpoint = folder / f"{strategy}_resumed", folder / f"{strategy}.ckpt"
        train(cut, steps=3, strategy=strategy, ranks=ranks).save_checkpoint(checkpoint)
        train(cut, steps=6, strategy=strategy, ranks=ranks, resume=checkpoint)
    if ranks > 1:
        files = files_at_the_end(folder / "other", ranks=ranks)
        (folder / f"other_{RANK}.txt").write_text(str(files))
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
