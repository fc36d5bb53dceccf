"""Trains a small VGAN on every rank that started it; `test_vgan.py` compares weights and prices of one and two ranks.

Run as `python -m tests.models.vgan_worker FOLDER`, or by `python -m torch.distributed.run --nproc_per_node=2 -m`.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.callbacks import EMA, R1, Bottleneck
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.models import VGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.equality import start_of
from tests.toys import FAST, toy_trainer

STRATEGIES = ("gan_ddp", "gan_fsdp")


class Pictures(GANData):
    """Random grey 8x8 images in memory."""

    def __init__(self) -> None:
        super().__init__(
            image_size=8,
            image_channels=1,
            number_of_classes=0,
            batch_size=8,
            seed=0,
            mirror=False,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
        return MemoryImages(images=to_bytes(images), labels=None)


def train(*, strategy: str, ranks: int) -> dict[str, Tensor]:
    """All weights after six batches, in double precision, and the price of information."""
    torch.manual_seed(7)
    module = VGAN(
        image_size=8,
        image_channels=1,
        latent_dim=4,
        label_dim=3,
        code_features=5,
        width=2,
        width_max=4,
        training=FAST,
    )
    start = start_of(module)
    bottleneck = Bottleneck(information_constraint=0.05, beta_step_size=1.0, initial_beta=0.1)
    trainer = toy_trainer(
        bottleneck,
        R1(gamma=1.0),
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
    return {**weights, **start, "beta": bottleneck.beta}


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
