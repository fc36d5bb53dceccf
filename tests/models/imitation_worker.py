"""Trains a small VAIL and a small VAIRL on every rank that started it, and writes their weights and rewards.

Run as `python -m torch.distributed.run --nproc_per_node=2 -m tests.models.imitation_worker FOLDER`, or without the
launcher.
"""

import os
import sys
from pathlib import Path

import torch

from lightning_gan.callbacks import EMA, Bottleneck
from lightning_gan.layers.replay import Replay
from lightning_gan.models import VAIL, VAIRL
from tests.imitation_toys import toy_demonstrations, toy_rollouts
from tests.toys import fast_adam, toy_trainer

KINDS = {"vail": VAIL, "vairl": VAIRL}


def main(folder: Path) -> None:
    ranks, rank = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", "1"), ("RANK", "0")))
    expert = folder / f"expert_{ranks}_{rank}.npz"
    toy_demonstrations(expert)
    for name, kind in KINDS.items():
        data = toy_rollouts(demonstrations=str(expert))
        torch.manual_seed(7)
        model = kind(
            observation_size=4,
            action_size=2,
            discrete_actions=True,
            policy_width=5,
            critic_width=4,
            code_size=2,
            replay=Replay(size=30),
            generator_optimizer=fast_adam,
            discriminator_optimizer=fast_adam,
        )
        bottleneck = Bottleneck(information_constraint=0.01, beta_step_size=0.1)
        trainer = toy_trainer(
            bottleneck,
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
            torch.save({**model.state_dict(), "beta": bottleneck.beta}, folder / f"{name}_{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
