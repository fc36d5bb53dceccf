"""Proximal policy optimization (PPO; Schulman et al. 2017, arXiv:1707.06347) on a fixed reward.

It trains experts on the environment's own reward. It also trains new policies on a reward that `VAIRL` has recovered,
in environments with other dynamics (Peng et al. 2019, arXiv:1810.00821; Fu et al. 2018, arXiv:1710.11248).

The reward stands in the place of the discriminator, and there are no discriminator turns.
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
from lightning_gan.tensors.numbers import check_at_least


class Reward(nn.Module, ABC):
    """Base class of rewards that are not trained."""

    @abstractmethod
    def forward(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        """Returns the reward of each step of a rollout, `steps environments`."""


@final
class EnvironmentReward(Reward):
    """The environment's own reward r with an entropy bonus: ``scale r - entropy_weight log pi(a|s)``.

    With an entropy weight the policy learns the maximum-entropy optimum of ``scale / entropy_weight`` times the reward.
    Adversarial inverse reinforcement learning assumes such experts (AIRL, arXiv:1710.11248, section 3). This bonus is
    part of the return, so that it also rewards the entropy of later steps; `ProximalObjective.entropy_weight` rewards
    the entropy of the current step only.

    Args:
        scale: factor of the environment's reward. Values are learned best if the product is about 1 per step.
        entropy_weight: reward for one nat of entropy; at least 0.

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
    """The reward g of a trained `VAIRL`, at the mean of its code.

    Args:
        checkpoint: path of the VAIRL run's checkpoint, such as `runs/vairl/checkpoints/last.ckpt`.
        scale: factor of g.

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
    """Loads a trained VAIRL onto the CPU.

    Args:
        checkpoint: path of its checkpoint.

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
        if "replay" not in saved["hyper_parameters"]:  # made in Python: the dataclass is not saved, but its buffer is
            rows = saved["state_dict"].get("replay_buffer.rows", ())
            given["replay"] = Replay(size=len(rows))
        return VAIRL.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True, **given)
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise ValueError(
            f"RecoveredReward: {checkpoint} is no checkpoint of a VAIRL ({error}); give one that a fit of VAIRL wrote"
        ) from error


@final
class PPO(ImitationGAN):
    """Proximal policy optimization: a policy that is trained on a fixed reward.

    Args:
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        discrete_actions: whether actions are discrete and given as one-hot rows.
        reward: reward that the policy is trained on, an `EnvironmentReward` or a `RecoveredReward`; None is the
            environment's own reward.
        policy_width: width of both hidden layers of the policy network and of its value network.
        action_bound: largest absolute value of a continuous action that the environment accepts.
        proximal: settings of the policy's PPO objective.

    Raises:
        ValueError: if `training` has a loss, or discriminator turns.
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
        check_at_least(1, observation_size=observation_size, action_size=action_size, policy_width=policy_width)
        check_at_least(0, action_bound=action_bound)
        training.check_default_loss("PPO")
        if training.discriminator_turns:
            raise ValueError(
                f"discriminator_turns={training.discriminator_turns}: PPO's reward is given, so that there is no "
                "discriminator to train; set training.discriminator_turns to 0"
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
        """Returns zeros: PPO has no discriminator."""
        return torch.zeros(len(images), 1, dtype=images.dtype, device=images.device)

    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        rewards: Tensor = self.discriminator(rollout)
        return rewards
