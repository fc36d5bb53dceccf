"""Trains toys with penalties at fixed points on every rank, for `test_distributed_penalties.py`.

Run as `python -m tests.callbacks.regularizers.gradient_penalty_worker FOLDER`, with or without `torch.distributed.run`.
Points that are drawn would be each rank's own, so here all lie in the middle.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks.regularizers.adaptive_augmentation import AdaptiveAugmentation
from lightning_gan.callbacks.regularizers.adaptive_pseudo_augmentation import AdaptivePseudoAugmentation
from lightning_gan.callbacks.regularizers.augmentation import DiffAugment
from lightning_gan.callbacks.regularizers.gradient_penalty import R1, DivergencePenalty, Drift, GradientPenalty
from lightning_gan.callbacks.regularizers.roth import Roth
from lightning_gan.callbacks.training.freeze_d import FreezeD
from lightning_gan.loop.gan import GAN
from tests.equality import start_of
from tests.loop.distributed_worker import Deep, Toys
from tests.toys import FAST, ToyGenerator, toy_trainer

MIDDLE = (0.5, 0.5)
GROUPS = AugmentationGroups(filter=1.0, noise=1.0, cutout=1.0)
CASES: dict[str, Callable[[], list[Callback]]] = {
    "plain": lambda: [],
    "wgan_gp": lambda: [GradientPenalty(weight=5.0, between=MIDDLE)],
    "wgan_div": lambda: [DivergencePenalty(weight=5.0, power=3.0, between=MIDDLE)],
    "roth_annealed": lambda: [Roth(gamma=50.0, annealing_kimg=0.05)],
    "three_together": lambda: [GradientPenalty(every_n_turns=2, between=MIDDLE), R1(gamma=3.0), Drift(weight=1.0)],
    "diff_augment": lambda: [DiffAugment(), R1(gamma=3.0)],
    # p moves after every second batch by 0.16.
    "adaptive_augmentation": lambda: [
        AdaptiveAugmentation(initial_probability=0.3, adaptation_kimg=0.1, interval=2, groups=GROUPS),
        R1(gamma=3.0),
    ],
    "frozen_layer": lambda: [FreezeD(layers=["blocks.0"]), R1(gamma=3.0)],
    "adaptive_pseudo_augmentation": lambda: [
        AdaptivePseudoAugmentation(initial_probability=0.5, adaptation_kimg=0.1, interval=2, real_share=0.5),
        R1(gamma=3.0),
    ],
}
STRATEGIES = ("gan_ddp", "gan_fsdp")


def train(case: str, *, strategy: str, ranks: int) -> dict[str, Tensor]:
    """All weights after six batches, in double precision."""
    torch.manual_seed(7)
    module = GAN(
        generator=ToyGenerator(),
        discriminator=Deep(),
        latent_dim=4,
        training=FAST,
    )
    start = start_of(module)
    trainer = toy_trainer(
        *CASES[case](), max_steps=6, max_epochs=-1, precision="64-true", devices=ranks, strategy=strategy
    )
    trainer.fit(module, Toys())
    assert trainer.world_size == ranks
    return {**get_model_state_dict(module, options=StateDictOptions(full_state_dict=True)), **start}


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        for case in CASES:
            weights = train(case, strategy=strategy, ranks=ranks)
            if int(os.environ.get("RANK", "0")) == 0:
                torch.save(weights, folder / f"{strategy}_{case}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
