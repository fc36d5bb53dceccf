"""Trains a small imitator of each kind on every rank that started it, and writes their weights.

Run as `python -m torch.distributed.run --nproc_per_node=2 -m tests.imitation.imitation_worker FOLDER`, or without the
launcher.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch

from lightning_gan.callbacks import EMA, Bottleneck
from lightning_gan.imitation import GAIL, PPO, VAIL, VAIRL
from lightning_gan.imitation.replay import Replay
from tests.equality import start_of
from tests.imitation.imitation_rows import training_of
from tests.imitation.imitation_toys import toy_demonstrations, toy_rollouts
from tests.toys import toy_trainer

KINDS = {"vail": VAIL, "vairl": VAIRL, "gail": GAIL, "ppo": PPO}


def main(folder: Path) -> None:
    ranks, rank = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", "1"), ("RANK", "0")))
    expert = folder / f"expert_{ranks}_{rank}.npz"
    toy_demonstrations(expert)
    critic: dict[str, Any] = {
        "critic_width": 4,
        "code_size": 2,
        "replay": Replay(size=30),
    }
    for name, kind in KINDS.items():
        data = toy_rollouts(demonstrations=None if kind is PPO else str(expert))
        torch.manual_seed(7)
        model = kind(
            observation_size=4,
            action_size=2,
            discrete_actions=True,
            policy_width=5,
            training=training_of(kind),
            **({} if kind is PPO else critic),
        )
        start = start_of(model)
        bottlenecks = [Bottleneck(information_constraint=0.01, beta_step_size=0.1)] if kind in (VAIL, VAIRL) else []
        trainer = toy_trainer(
            *bottlenecks,
            EMA(half_life_kimg=0.02),
            max_steps=14,
            max_epochs=-1,
            precision="64-true",
            devices=ranks,
            strategy="gan_ddp" if ranks > 1 else "auto",
        )
        trainer.fit(model, data)
        assert trainer.world_size == ranks
        if rank == 0:
            betas = {"beta": bottlenecks[0].beta} if bottlenecks else {}
            torch.save({**model.state_dict(), **start, **betas}, folder / f"{name}_{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
