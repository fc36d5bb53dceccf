"""Trains the toy agent on every rank that started it, and writes its weights and returns.

Run as `python -m torch.distributed.run --nproc_per_node=2 -m tests.imitation.two_ranks_worker FOLDER`, or without the
launcher.
"""

import os
import sys
from pathlib import Path

import torch

from lightning_gan.imitation import EpisodeReturns
from tests.equality import start_of
from tests.imitation.imitation_toys import ToyAgent, toy_demonstrations, toy_rollouts
from tests.toys import toy_trainer


def main(folder: Path) -> None:
    ranks, rank = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", "1"), ("RANK", "0")))
    expert = folder / f"expert_{ranks}_{rank}.npz"
    toy_demonstrations(expert)
    for environment in ("CartPole-v1", "Pendulum-v1"):
        data = toy_rollouts(
            environment=environment,
            environment_options={"max_episode_steps": 20},
            demonstrations=str(expert) if environment == "CartPole-v1" else None,
            number_of_environments=4,
            steps_per_rollout=30,
        )
        torch.manual_seed(7)
        agent = ToyAgent(
            observation_size=data.observation_size,
            action_size=data.action_size,
            discrete_actions=data.discrete_actions,
        )
        start = start_of(agent)
        trainer = toy_trainer(
            # Seven episodes: the ranks have different numbers of them.
            EpisodeReturns(episodes=7),
            max_steps=70,
            max_epochs=-1,
            precision="64-true",
            devices=ranks,
            strategy="gan_ddp" if ranks > 1 else "auto",
            default_root_dir=str(folder / f"{environment}_{ranks}"),
        )
        trainer.fit(agent, data)
        assert trainer.world_size == ranks
        assert len(agent.judged) == 3 and agent.judged[2].rewards.shape == (30, 4)
        if rank == 0:
            # What was judged, too: it tells where two runs part.
            history = {f"rewards_{number}": rollout.rewards for number, rollout in enumerate(agent.judged)}
            torch.save(agent.state_dict() | start | history, folder / f"{environment}_{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
