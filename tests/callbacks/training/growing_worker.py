"""Grows a small StyleGAN on every rank that started it, for `test_growing_on_two_ranks.py`.

Run as `python -m tests.callbacks.training.growing_worker FOLDER`, with or without `torch.distributed.run`. The networks
draw nothing by themselves here, neither noise nor mixed styles: that would be each rank's own.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.callbacks import EMA, R1, ProgressiveGrowing, StopAtKimg
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.loop.settings import Training
from lightning_gan.models import StyleGAN
from lightning_gan.optimizers import GANAdam
from tests.equality import start_of
from tests.toys import toy_trainer

CASES: dict[str, dict[str, Any]] = {"resets": {}, "moments_kept": {"reset_optimizers": False}}
STRATEGIES = ("gan_ddp", "gan_fsdp")
IMAGES = 96


class Images16(GANData):
    """Forty random RGB images of 16x16 pixels."""

    def __init__(self) -> None:
        super().__init__(
            image_size=16,
            image_channels=3,
            number_of_classes=0,
            batch_size=4,
            seed=0,
            mirror=True,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        random = torch.Generator().manual_seed(5)
        images = torch.randint(256, (40, 3, 16, 16), generator=random, dtype=torch.uint8)
        return MemoryImages(images=images, labels=None)


def steady_adam(parameters: Any) -> GANAdam:
    """Large steps, but none along gradients that are mere rounding."""
    return GANAdam(parameters, lr=0.02, eps=1e-4)


class Diary(Callback):
    """Every batch's phase, global size, rate, and whether the optimizers remember anything."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, StyleGAN)
        self.batches.append(
            [
                pl_module.resolution,
                pl_module.fade_in,
                len(batch[0]) * trainer.world_size,
                [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers],
                [len(optimizer.state) > 0 for optimizer in trainer.optimizers],
            ]
        )


def train(case: str, *, strategy: str, ranks: int) -> tuple[StyleGAN, dict[str, Tensor], Diary]:
    """From 4x4 to a stable 16x16, in double precision: the model, how it began, and its diary."""
    torch.manual_seed(7)
    module = StyleGAN(
        image_size=16,
        latent_dim=8,
        style_dim=8,
        mapping_layers=2,
        mapping_width=8,
        channel_base=64,
        channel_max=8,
        style_mixing=0.0,
        # A group lies on one rank or on two, so that only groups of one sample are the same on both.
        minibatch_stddev_group=1,
        training=Training(generator_optimizer=steady_adam, discriminator_optimizer=steady_adam),
    )
    for name, parameter in module.generator.named_parameters():
        if name.endswith("noise_weight"):
            parameter.requires_grad_(False)  # stays 0
        if name.endswith("constant"):
            # Ones have no variance: what instance norm makes of them is rounding, which Adam would enlarge.
            torch.nn.init.normal_(parameter)
    start, diary = start_of(module), Diary()
    growing = ProgressiveGrowing(
        hold_kimg=0.016,
        fade_kimg=0.016,
        batch_sizes={4: 8, 16: 2},
        learning_rates={8: 0.01, 16: 0.005},
        **CASES[case],
    )
    callbacks = [growing, R1(gamma=1.0, every_n_turns=2), EMA(half_life_kimg=0.05), diary]
    trainer = toy_trainer(
        *callbacks,
        StopAtKimg(total_kimg=IMAGES / 1000),
        max_epochs=-1,
        limit_val_batches=0,
        precision="64-true",
        devices=ranks,
        strategy=strategy,
    )
    trainer.fit(module, Images16())
    assert trainer.world_size == ranks and module.images_seen == IMAGES
    return module, start, diary


def main(folder: Path) -> None:
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        for case in CASES:
            module, start, diary = train(case, strategy=strategy, ranks=ranks)
            weights = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
            (folder / f"{strategy}_{case}_{rank}.json").write_text(json.dumps(diary.batches))
            if weights:
                torch.save({**weights, **start}, folder / f"{strategy}_{case}_{rank}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
