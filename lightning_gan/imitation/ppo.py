"""Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347) on a reward that is given, not learned.

It makes the experts that others imitate, from the environment's own reward; and it trains new policies on a reward that
`VAIRL` has recovered, in environments with other dynamics (Peng et al. 2019, arXiv:1810.00821; Fu et al. 2018,
arXiv:1710.11248).

The reward takes the critic's place, and the critic takes no turns.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.imitation.imitation_gan import ImitationGAN, policy_network, transitions_of
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.replay import Replay
from lightning_gan.imitation.transitions import Rollout, Transitions
from lightning_gan.imitation.vairl import VAIRL
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training


class Reward(nn.Module, ABC):
    """What a policy is paid, with nothing that is trained."""

    @abstractmethod
    def forward(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        """The reward of each step."""


@final
class EnvironmentReward(Reward):
    """The environment's own, and the entropy that is still to come: ``scale r - entropy_weight log pi(a|s)``.

    With an entropy weight the policy learns the maximum-entropy optimum of ``scale / entropy_weight`` times the reward:
    as random as it can afford. Adversarial inverse reinforcement learning assumes such experts (AIRL, arXiv:1710.11248,
    section 3). `ProximalObjective.entropy_weight` pays for the entropy at the same moment only.

    Args:
        scale: what the reward is multiplied by. Values are learned best if it is about 1 per step then.
        entropy_weight: what a nat is worth.

    Raises:
        ValueError: for a negative weight.
    """

    def __init__(self, *, scale: float = 1.0, entropy_weight: float = 0.0) -> None:
        super().__init__()
        if entropy_weight < 0:
            raise ValueError(f"EnvironmentReward: entropy_weight={entropy_weight} must not be negative")
        self.scale = scale
        self.entropy_weight = entropy_weight

    def forward(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        return self.scale * rollout.rewards - self.entropy_weight * rollout.log_probabilities


@final
class RecoveredReward(Reward):
    """g of a trained `VAIRL`, at the mean of its code.

    Args:
        checkpoint: of the VAIRL run, such as `runs/vairl/checkpoints/last.ckpt`.
        scale: what g is multiplied by.

    Raises:
        ValueError: if there is no such file, or if it is not a checkpoint of VAIRL.
    """

    def __init__(self, *, checkpoint: str, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.critic = vairl_from(Path(checkpoint)).discriminator.requires_grad_(False)

    def forward(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        rewards = self.critic.reward(transitions_of(rollout).observations)
        return self.scale * rewards.reshape(rollout.rewards.shape)


def vairl_from(checkpoint: Path) -> VAIRL:
    """A trained VAIRL.

    Raises:
        ValueError: if there is no such file, or if it is not a checkpoint of VAIRL.
    """
    if not checkpoint.is_file():
        raise ValueError(
            f"RecoveredReward: there is no file {checkpoint}; train a VAIRL and give its checkpoint, such as "
            "runs/vairl/checkpoints/last.ckpt"
        )
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        given: dict[str, Any] = {}
        if "replay" not in saved["hyper_parameters"]:  # made in Python: dataclasses are not saved, and the buffer is
            rows = saved["state_dict"].get("replay_buffer.rows", ())
            given["replay"] = Replay(size=len(rows))
        return VAIRL.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True, **given)
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise ValueError(f"RecoveredReward: {checkpoint} is no checkpoint of a VAIRL: {error}") from error


@final
class PPO(ImitationGAN):
    """A policy that learns from a reward which is given.

    Args:
        observation_size: numbers in an observation.
        action_size: numbers in an action, or how many discrete actions there are.
        discrete_actions: whether actions are one-hot rows.
        reward: `EnvironmentReward` or `RecoveredReward`; None is the environment's.
        policy_width: of the two hidden layers of the policy, and of its value function.
        action_bound: actions that are numbers lie within plus and minus this.
        proximal: what the policy's turn asks for.

    Raises:
        ValueError: for a loss, and for turns of a critic.
    """

    discriminator: Reward

    def __init__(
        self,
        *,
        observation_size: int,
        action_size: int,
        discrete_actions: bool,
        reward: Reward | None = None,
        policy_width: int = 64,
        action_bound: float = 1.0,
        proximal: ProximalObjective = ProximalObjective(),
        training: Training = Training(discriminator_turns=0),
    ) -> None:
        training.check_default_loss("PPO")
        if training.discriminator_turns:
            raise ValueError(
                f"discriminator_turns={training.discriminator_turns}: PPO's reward is given, and there is no critic to "
                "train; set training.discriminator_turns to 0, or leave it out"
            )
        super().__init__(
            policy=policy_network(
                observation_size=observation_size,
                action_size=action_size,
                discrete_actions=discrete_actions,
                width=policy_width,
                action_bound=action_bound,
                proximal=proximal,
            ),
            critic=EnvironmentReward() if reward is None else reward,
            observation_size=observation_size,
            action_size=action_size,
            code_size=0,
            replay=Replay(),
            proximal=proximal,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("proximal", "reward"))

    def columns(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        return torch.cat([transitions.observations, transitions.actions], dim=1)

    def logits(self, images: Tensor, noise: Tensor | None) -> Float[Tensor, "batch 1"]:
        """Zeros: nobody tells the policy from anybody."""
        return torch.zeros(len(images), 1, dtype=images.dtype, device=images.device)

    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        rewards: Tensor = self.discriminator(rollout)
        return rewards
