"""Variational adversarial inverse reinforcement learning, VAIRL (Peng et al. 2019, arXiv:1810.00821, section 4.3).

VAIRL is AIRL (Fu et al. 2018, arXiv:1710.11248) with bottlenecks. Its discriminator consists of a reward and a shaping
potential. Both are functions of the state alone, so that the reward can train policies in environments with other
dynamics (`PPO` with `RecoveredReward`).
"""

from typing import final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.imitation.imitation_gan import policy_network, transitions_of
from lightning_gan.imitation.policy_losses import policy_relative_logits, shaped_reward
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.replay import Replay
from lightning_gan.imitation.transitions import Rollout, Transitions
from lightning_gan.imitation.vail import Imitation, ScalesInputs, coded, features_of
from lightning_gan.layers.gaussian_code import GaussianCode
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Logits, PerSample


class RewardAndShapingCode(nn.Module):
    """The product encoder ``E(z_g, z_h, z_h' | s, s') = E_g(z_g | s) E_h(z_h | s) E_h(z_h' | s')`` (section 4.3).

    Its KL divergence from the prior is the sum of the divergences of the three codes. One bottleneck limits this sum.

    Arguments that are not listed are described in `VAIRL`.

    Args:
        width: width of both hidden layers of each encoder.
    """

    def __init__(self, *, observation_size: int, width: int, code_size: int) -> None:
        super().__init__()
        self.reward, self.shaping = (
            nn.Sequential(
                features_of(in_features=observation_size, width=width),
                GaussianCode(in_features=width, code_features=code_size),
            )
            for _ in range(2)
        )

    def forward(
        self, states: Float[Tensor, "batch observation"], next_states: Float[Tensor, "batch observation"]
    ) -> tuple[Float[Tensor, "batch codes"], Float[Tensor, "batch codes"]]:
        """Returns the means and the log variances of z_g, z_h and z_h', each concatenated along the columns."""
        codes = [self.reward(states), self.shaping(states), self.shaping(next_states)]
        means, log_variances = zip(*codes, strict=True)
        return torch.cat(means, dim=1), torch.cat(log_variances, dim=1)


class RewardAndShaping(ScalesInputs):
    """VAIRL's discriminator: ``f = D_g(z_g) + gamma D_h(z_h') - D_h(z_h)`` (arXiv:1810.00821, section 4.3).

    Arguments that are not listed are described in `VAIRL`.

    Args:
        width: width of both hidden layers of each encoder.
        discount: discount factor gamma, in [0, 1).
    """

    def __init__(self, *, observation_size: int, width: int, code_size: int, discount: float) -> None:
        super().__init__(columns=observation_size)
        self.observation_size = observation_size
        self.discount = discount
        self.bottleneck = RewardAndShapingCode(observation_size=observation_size, width=width, code_size=code_size)
        self.reward_output = nn.Linear(code_size, 1)
        self.shaping_output = nn.Linear(code_size, 1)

    def forward(self, maps: Images, noise: Float[Tensor, "batch codes"] | None = None) -> Logits:
        """Returns f of each transition, `batch 1`.

        Args:
            maps: `batch columns 1 1`. The first columns are the observation, the next observation, and 1 if the
                transition ended in a terminal state, else 0. Any further columns are ignored.
            noise: standard normal noise of the three codes, `batch 3*code_size`; None uses the means of the codes.
        """
        size = self.observation_size
        columns = rearrange(maps, "batch columns 1 1 -> batch columns")
        states, next_states, terminated = columns[:, :size], columns[:, size : 2 * size], columns[:, 2 * size]
        mean, log_variance = self.bottleneck(self.scale(states), self.scale(next_states))
        reward, shaping, next_shaping = coded(mean, log_variance, noise).chunk(3, dim=1)
        return shaped_reward(
            self.reward_output(reward)[:, 0],
            self.shaping_output(shaping)[:, 0],
            self.shaping_output(next_shaping)[:, 0],
            terminated,
            discount=self.discount,
        )[:, None]

    def reward(self, states: Float[Tensor, "batch observation"]) -> PerSample:
        """Returns the recovered reward: g of each state, at the mean of its code."""
        mean, _ = self.bottleneck.reward(self.scale(states))
        rewards: Tensor = self.reward_output(mean)[:, 0]
        return rewards


@final
class VAIRL(Imitation):
    """Variational adversarial inverse reinforcement learning (VAIRL). Add `Bottleneck` as a callback.

    The discriminator's logit is ``f - log pi(a|s)`` with the current policy pi, and the policy's reward is the same
    number (section 4.3; AIRL, arXiv:1710.11248, section 6). Gradient penalties differentiate the whole logit. Where the
    expert and the policy act alike, the whole logit is flat, while f alone is not.

    Args:
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        discrete_actions: whether actions are discrete and given as one-hot rows.
        policy_width: width of both hidden layers of the policy network and of its value network.
        critic_width: width of both hidden layers of the discriminator's reward encoder and of its shaping encoder.
        code_size: size of each of the discriminator's three codes.
        replay: settings of the buffer of earlier policies' transitions on which the discriminator keeps training.
        action_bound: largest absolute value of a continuous action that the environment accepts.
        proximal: settings of the policy's PPO objective.
    """

    discriminator: RewardAndShaping

    def __init__(
        self,
        *,
        observation_size: int,
        action_size: int,
        discrete_actions: bool,
        policy_width: int = 64,
        critic_width: int = 64,
        code_size: int = 8,
        replay: Replay = Replay(size=20_000),
        action_bound: float = 1.0,
        proximal: ProximalObjective = ProximalObjective(),
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            observation_size=observation_size,
            action_size=action_size,
            policy_width=policy_width,
            critic_width=critic_width,
            code_size=code_size,
        )
        check_at_least(0, action_bound=action_bound)
        super().__init__(
            policy=policy_network(
                observation_size=observation_size,
                action_size=action_size,
                discrete_actions=discrete_actions,
                width=policy_width,
                action_bound=action_bound,
                proximal=proximal,
            ),
            critic=RewardAndShaping(
                observation_size=observation_size,
                width=critic_width,
                code_size=code_size,
                discount=proximal.discount,
            ),
            observation_size=observation_size,
            action_size=action_size,
            code_size=3 * code_size,
            replay=replay,
            proximal=proximal,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("proximal", "replay"))

    def columns(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        return torch.cat(
            [
                transitions.observations,
                transitions.next_observations,
                transitions.terminated[:, None],
                transitions.actions,
            ],
            dim=1,
        )

    def scaled(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        return transitions.observations

    def logits(self, images: Images, noise: Float[Tensor, "batch code"] | None) -> Float[Tensor, "batch 1"]:
        columns = rearrange(images, "batch columns 1 1 -> batch columns")
        observations, actions = columns[:, : self.observation_size], columns[:, -self.action_size :]
        parameters, _ = self.generator(observations)
        log_probabilities = self.generator.actions.log_probabilities(parameters, actions)
        return policy_relative_logits(super().logits(images, noise)[:, 0], log_probabilities)[:, None]

    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        maps = rearrange(self.columns(transitions_of(rollout)), "batch columns -> batch columns 1 1")
        return self.logits(maps, None).reshape(rollout.rewards.shape)
