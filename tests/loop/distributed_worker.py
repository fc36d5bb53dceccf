"""Trains toys on every rank that started it and writes the final weights: `test_distributed.py` compares them.

Run as `python -m torch.distributed.run --nproc_per_node=2 tests/distributed_worker.py FOLDER`, or without the launcher.
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

import lightning_gan.loop.gan
from lightning_gan.callbacks import EMA, R1, R2
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.image_bytes import to_bytes
from tests.equality import start_of
from tests.toys import SIZE, ToyGenerator, fast_adam, toy_images, toy_trainer

CASES: dict[str, list[dict[str, Any]]] = {
    "plain": [],
    "every_turn": [{"gamma": 5.0}],
    "lazy": [{"gamma": 5.0, "every_n_turns": 2}],
    "fakes_twice": [{"gamma": 5.0, "every_n_turns": 2}],
}
STRATEGIES = ("gan_ddp", "ddp", "gan_fsdp")


class Toys(GANData):
    """Grey 4x4 images in memory."""

    def __init__(self) -> None:
        super().__init__(
            image_size=SIZE,
            image_channels=1,
            number_of_classes=0,
            batch_size=8,
            seed=0,
            mirror=False,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        return MemoryImages(images=to_bytes(toy_images(32)), labels=None)


class Deep(nn.Module):
    """A critic of blocks, so that FSDP2 has nested units."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(SIZE * SIZE, 16), nn.Linear(16, 16)])
        self.output = nn.Linear(16, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1)
        for block in self.blocks:
            features = block(features).tanh()
        logits: Tensor = self.output(features)
        return logits


def train(case: str, *, strategy: str, ranks: int) -> dict[str, Tensor]:
    """All weights after six batches, in double precision."""
    torch.manual_seed(7)
    module = GAN(
        generator=ToyGenerator(),
        discriminator=Deep(),
        latent_dim=4,
        training=Training(
            generator_optimizer=fast_adam,
            discriminator_optimizer=fast_adam,
            discriminator_clip_norm=0.5,
            use_fakes_twice=case == "fakes_twice",
        ),
    )
    start = start_of(module)
    penalties = [R1(**settings) for settings in CASES[case]] + [R2(**settings) for settings in CASES[case]]
    trainer = toy_trainer(
        *penalties,
        EMA(half_life_kimg=0.02),
        max_steps=6,
        max_epochs=-1,
        precision="64-true",
        devices=ranks,
        strategy=strategy,
    )
    trainer.fit(module, Toys())
    assert trainer.world_size == ranks
    assert module.images_seen == 48
    return {**get_model_state_dict(module, options=StateDictOptions(full_state_dict=True)), **start}


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    strategies = STRATEGIES if ranks > 1 else ("auto",)
    for strategy in strategies:
        for case in CASES:
            weights = train(case, strategy=strategy, ranks=ranks)
            if int(os.environ.get("RANK", "0")) == 0:
                torch.save(weights, folder / f"{strategy}_{case}.pt")
    if ranks > 1:
        (folder / f"unguarded_{os.environ['RANK']}.txt").write_text(error_without_guard())
        torch.distributed.destroy_process_group()


def error_without_guard() -> str:
    """What FSDP2 says when a penalty differentiates weights that were already sharded again."""
    lightning_gan.loop.gan.kept_gathered = lambda *networks: nullcontext()  # type: ignore[assignment]
    try:
        train("every_turn", strategy="gan_fsdp", ranks=2)
    except RuntimeError as error:
        return str(error)
    return "trained"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
