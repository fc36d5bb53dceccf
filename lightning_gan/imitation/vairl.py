"""Variational adversarial inverse reinforcement learning, VAIRL (Peng et al. 2019, arXiv:1810.00821, section 4.3).

It is AIRL (Fu et al. 2018, arXiv:1710.11248) with bottlenecks: the critic consists of a reward and of a shaping
potential, both of states alone, so that the reward can train policies where the dynamics differ (`models.PPO` with
`RecoveredReward`).
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
from lightning_gan.tensors.shapes import Images, Logits, PerSample


class RewardAndShapingCode(nn.Module):
    """The product encoder ``E(z_g, z_h, z_h' | s, s') = E_g(z_g | s) E_h(z_h | s) E_h(z_h' | s')`` (section 4.3).

    Its divergence from the prior is the sum of the three, which is what one bottleneck around all limits.

    Arguments that are not listed are as in `VAIRL`.

    Args:
        width: of the two hidden layers of each encoder.
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
        """Means and logarithms of variances of z_g, z_h and z_h', side by side."""
        codes = [self.reward(states), self.shaping(states), self.shaping(next_states)]
        means, log_variances = zip(*codes, strict=True)
        return torch.cat(means, dim=1), torch.cat(log_variances, dim=1)


class RewardAndShaping(ScalesInputs):
    """VAIRL's: ``f = D_g(z_g) + gamma D_h(z_h') - D_h(z_h)`` of a transition (arXiv:1810.00821, section 4.3).

    Arguments that are not listed are as in `RewardAndShapingCode`.

    Args:
        discount: gamma.
    """

    def __init__(self, *, observation_size: int, width: int, code_size: int, discount: float) -> None:
        super().__init__(columns=observation_size)
        self.observation_size = observation_size
        self.discount = discount
        self.bottleneck = RewardAndShapingCode(observation_size=observation_size, width=width, code_size=code_size)
        self.reward_output = nn.Linear(code_size, 1)
        self.shaping_output = nn.Linear(code_size, 1)

    def forward(self, maps: Images, noise: Float[Tensor, "batch codes"] | None = None) -> Logits:
        """f, `batch 1`.

        Args:
            maps: observations, next observations, and whether the transition ended in a terminal state, as columns;
                what stands behind them is not looked at.
            noise: of the three codes; None for their means.
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
        """g at the mean of its code: the reward that has been recovered."""
        mean, _ = self.bottleneck.reward(self.scale(states))
        rewards: Tensor = self.reward_output(mean)[:, 0]
        return rewards


@final
class VAIRL(Imitation):
    """Variational adversarial inverse reinforcement learning; add `Bottleneck` as a callback.

    The critic's logit is ``f - log pi(a|s)`` with the policy as it is at that moment, and so is the policy's reward
    (section 4.3; AIRL, arXiv:1710.11248, section 6). A penalty on the logit's gradient means the whole logit, which is
    flat where the expert and the policy are alike; f alone is not.

    Args:
        observation_size: numbers in an observation.
        action_size: numbers in an action, or how many discrete actions there are.
        discrete_actions: whether actions are one-hot rows.
        policy_width: of the two hidden layers of the policy, and of its value function.
        critic_width: of the two hidden layers of the critic's reward, and of its shaping.
        code_size: of each of the critic's three codes.
        replay: which transitions of earlier policies the critic goes on seeing.
        action_bound: actions that are numbers lie within plus and minus this.
        proximal: what the policy's turn asks for.
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
