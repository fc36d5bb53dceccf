"""A callback that records a trained agent's episodes as demonstrations for `Rollouts`."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.imitation.demonstrations import Demonstrations
from lightning_gan.imitation.environments import facts_of, play
from lightning_gan.imitation.episode_returns import formatted
from lightning_gan.imitation.returns import mean_return
from lightning_gan.imitation.stage import agent_of, policy_of, stage_of
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.tensors.seeds import derived_seed


class RecordDemonstrations(Callback):
    """Plays whole episodes with the agent's policy in `test`, writes them to a file, and prints their mean return.

    `lightning-gan test --config expert.yaml --ckpt_path last` with this callback records demonstrations of the expert
    that `fit` has trained. `Rollouts(demonstrations=...)` reads them.

    Args:
        path: path of the .npz file to write; an existing file is replaced.
        episodes: number of episodes to play.
        random_actions: whether actions are drawn from the policy's distribution; if not, they are its most likely
            ones. An expert that never makes mistakes does not show how to recover from them, and `VAIRL` assumes an
            expert that draws its actions.
        seed: seed of the episodes' initial states and of random actions.

    Raises:
        ValueError: if `path` does not end in .npz, `episodes` is less than 1, the model has no policy, or the data have
            no environment.
    """

    def __init__(self, *, path: str, episodes: int = 50, random_actions: bool = False, seed: int = 0) -> None:
        if not path.endswith(".npz"):
            raise ValueError(f"RecordDemonstrations: path={path!r} must end in .npz")
        if episodes < 1:
            raise ValueError(f"RecordDemonstrations: episodes={episodes} must be at least 1")
        self.path = Path(path)
        self.episodes = episodes
        self.random_actions = random_actions
        self.seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        stage_of("RecordDemonstrations", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        policy, data = stage_of("RecordDemonstrations", trainer, pl_module)
        if self.random_actions:
            random = torch.Generator().manual_seed(derived_seed(self.seed, "actions"))
            size = facts_of(data.environment).action_size
            agent = agent_of("RecordDemonstrations", pl_module)
            policy = policy_of(agent, pl_module, noise=lambda count: torch.rand(count, size, generator=random))
        with evaluation_mode(pl_module), torch.no_grad():
            played = play(data.environment, policy, numbers=range(self.episodes), seed=self.seed)
        demonstrations = Demonstrations.of_episodes(data.environment, list(played.values()))
        demonstrations.save(self.path)
        earned = mean_return(torch.from_numpy(demonstrations.returns))
        print(
            f"{self.episodes} episodes, {len(demonstrations)} steps of {data.environment.described} in {self.path}: "
            f"mean return {formatted(earned)}"
        )
