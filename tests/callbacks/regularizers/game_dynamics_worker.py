"""Trains toys under the game regularizers on every rank that started it; `test_game_dynamics.py` compares the weights.

Run as `python -m torch.distributed.run --nproc_per_node=2 tests/callbacks/regularizers/game_dynamics_worker.py FOLDER`,
or without the launcher.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from lightning_gan.callbacks.regularizers.game_dynamics import (
    ConsensusOptimization,
    GameRegularizer,
    NagarajanKolter,
    SymplecticGradientAdjustment,
)
from tests.equality import start_of
from tests.loop.distributed_worker import Toys
from tests.toys import FAST, toy_gan, toy_trainer

CASES = ("none", "consensus", "nagarajan_kolter", "symplectic")


def regularizers(case: str) -> list[GameRegularizer]:
    every: list[GameRegularizer] = [
        ConsensusOptimization(gamma=5.0),
        NagarajanKolter(eta=5.0),
        SymplecticGradientAdjustment(strength=5.0),
    ]
    return [regularizer for regularizer in every if regularizer.name == case]


def train(case: str, *, strategy: str, ranks: int) -> dict[str, Tensor]:
    """All weights after four batches, in double precision."""
    module = toy_gan(training=FAST)
    start = start_of(module)
    trainer = toy_trainer(
        *regularizers(case), max_steps=4, max_epochs=-1, precision="64-true", devices=ranks, strategy=strategy
    )
    trainer.fit(module, Toys())
    assert trainer.world_size == ranks
    return {**module.state_dict(), **start}


def main(folder: Path) -> None:
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    for case in CASES:
        weights = train(case, strategy="gan_ddp" if ranks > 1 else "auto", ranks=ranks)
        torch.save(weights, folder / f"{ranks}_ranks_{rank}_{case}.pt")
    if ranks > 1:
        (folder / f"sharded_{rank}.txt").write_text(error_when_sharded())
        torch.distributed.destroy_process_group()


def error_when_sharded() -> str:
    """What a user of FSDP2 is told."""
    try:
        train("consensus", strategy="gan_fsdp", ranks=2)
    except ValueError as error:
        return str(error)
    return "trained"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
