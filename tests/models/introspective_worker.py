"""Trains small introspective models on every rank and saves the weights: `test_introspective.py` compares them.

Run as `python -m torch.distributed.run --nproc_per_node=2 -m tests.models.introspective_worker FOLDER`, or without
launcher.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch

import lightning_gan.models.introvae
from lightning_gan.callbacks import EMA
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.models import IntroVAE, SoftIntroVAE
from lightning_gan.models.introspective import IntrospectiveGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.equality import start_of
from tests.models.introspective_steps import SMALL
from tests.toys import FAST, toy_trainer

BATCH = 8
CASES: dict[str, tuple[type[IntrospectiveGAN], dict[str, Any]]] = {
    "introvae_open": (IntroVAE, {"margin": 120.0}),
    "introvae_between": (IntroVAE, {"margin": 0.6, "negative_weight": 4.0}),
    "introvae_warm": (IntroVAE, {"vae_warmup_kimg": 0.02}),
    "soft": (SoftIntroVAE, {"feedback_weight": 0.5}),
}


class Pictures(GANData):
    """Grey 8x8 images in memory."""

    def __init__(self) -> None:
        super().__init__(
            image_size=8,
            image_channels=1,
            number_of_classes=0,
            batch_size=BATCH,
            seed=0,
            mirror=False,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
        return MemoryImages(images=to_bytes(images), labels=None)


def train(case: str, *, ranks: int) -> dict[str, torch.Tensor]:
    """All weights after six batches, in double precision."""
    model, settings = CASES[case]
    torch.manual_seed(7)
    module = model(training=FAST, **SMALL, **settings)
    start = start_of(module)
    trainer = toy_trainer(
        EMA(half_life_kimg=0.02),
        max_steps=6,
        max_epochs=-1,
        precision="64-true",
        devices=ranks,
        strategy="gan_ddp" if ranks > 1 else "auto",
    )
    trainer.fit(module, Pictures())
    assert trainer.world_size == ranks
    assert module.images_seen == 6 * BATCH
    return {**module.state_dict(), **start}


def main(folder: Path) -> None:
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    results = {case: train(case, ranks=ranks) for case in CASES}
    if ranks > 1:
        lightning_gan.models.introvae.mean_over_ranks = lambda values: values.detach().mean()  # type: ignore[assignment]
        results["introvae_between_own_mean"] = train("introvae_between", ranks=ranks)
    if rank == 0:
        for case, weights in results.items():
            torch.save(weights, folder / f"{case}_{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
