"""GAIL (Ho and Ermon 2016, arXiv:1606.03476) and VAIL (Peng et al. 2019, arXiv:1810.00821, section 4.2).

GAIL rewards a policy for transitions that a discriminator classifies as an expert's. A discriminator that separates the
two perfectly gives no useful reward, so VAIL limits the information that it receives about a transition.

The GAIL paper optimizes the policy with TRPO; all policies here use PPO (see `imitation_gan`). The discriminator's
inputs are normalized by the demonstrations' mean and standard deviation.
"""

from abc import abstractmethod
from typing import ClassVar, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.imitation.imitation_gan import ImitationGAN, policy_network, transitions_of
from lightning_gan.imitation.policy import RunningScale, multilayer_perceptron
from lightning_gan.imitation.policy_losses import imitation_reward
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.replay import Replay
from lightning_gan.imitation.transitions import Rollout, Transitions
from lightning_gan.layers.gaussian_code import GaussianCode, reparametrized
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Logits


def features_of(*, in_features: int, width: int) -> nn.Sequential:
    """Returns two hidden layers with tanh, without an output layer.

    Args:
        in_features: number of columns of the input.
        width: width of both layers.
    """
    return nn.Sequential(
        multilayer_perceptron(
            in_features=in_features, out_features=width, width=width, hidden_layers=1, last_gain=2**0.5
        ),
        nn.Tanh(),
    )


def coded(
    mean: Float[Tensor, "batch code"],
    log_variance: Float[Tensor, "batch code"],
    noise: Float[Tensor, "batch code"] | None,
) -> Float[Tensor, "batch code"]:
    """Returns the code ``mean + exp(log_variance / 2) * noise``, or its mean if `noise` is None."""
    return mean if noise is None else reparametrized(mean, log_variance, noise)


class ScalesInputs(nn.Module):
    """Base class of discriminators that normalize their inputs.

    Args:
        columns: number of columns that are normalized.
    """

    def __init__(self, *, columns: int) -> None:
        super().__init__()
        self.scale = RunningScale(size=columns)


class PlainCritic(ScalesInputs):
    """GAIL's discriminator: it maps columns to a code, and the code to a logit, without a bottleneck.

    Arguments that are not listed are described in `StateActionImitation`.

    Args:
        columns: number of columns that describe a transition.
        width: width of both hidden layers.
    """

    def __init__(self, *, columns: int, width: int, code_size: int) -> None:
        super().__init__(columns=columns)
        self.code = nn.Sequential(features_of(in_features=columns, width=width), nn.Linear(width, code_size))
        self.output = nn.Linear(code_size, 1)

    def forward(self, maps: Images) -> Logits:
        """Returns logits, `batch 1`, of descriptions of transitions, `batch columns 1 1`."""
        columns = rearrange(maps, "batch columns 1 1 -> batch columns")
        logits: Tensor = self.output(self.code(self.scale(columns)))
        return logits


class BottleneckCritic(ScalesInputs):
    """VAIL's discriminator: columns to a Gaussian code z, and z to ``w^T z + b`` (arXiv:1810.00821, section 4).

    Arguments that are not listed are described in `StateActionImitation`.

    Args:
        columns: number of columns that describe a transition.
        width: width of both hidden layers.
    """

    def __init__(self, *, columns: int, width: int, code_size: int) -> None:
        super().__init__(columns=columns)
        self.bottleneck = nn.Sequential(
            features_of(in_features=columns, width=width), GaussianCode(in_features=width, code_features=code_size)
        )
        self.output = nn.Linear(code_size, 1)

    def forward(self, maps: Images, noise: Float[Tensor, "batch code"] | None = None) -> Logits:
        """Returns logits, `batch 1`.

        Args:
            maps: descriptions of transitions, `batch columns 1 1`.
            noise: standard normal noise of the codes, `batch code_size`; None uses the means of the codes.
        """
        columns = rearrange(maps, "batch columns 1 1 -> batch columns")
        mean, log_variance = self.bottleneck(self.scale(columns))
        logits: Tensor = self.output(coded(mean, log_variance, noise))
        return logits


class Imitation(ImitationGAN):
    """Base class of GAIL, VAIL and VAIRL: the demonstrations fix the normalization of the discriminator's inputs."""

    discriminator: ScalesInputs

    @abstractmethod
    def scaled(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        """Returns the columns whose mean and standard deviation normalize the discriminator's inputs."""

    def study(self, demonstrations: Transitions) -> None:
        """Sets the normalization of the discriminator's inputs to the demonstrations' mean and deviation."""
        self.discriminator.scale.observe(self.scaled(demonstrations))
        self.discriminator.scale.adopt()

    def begin_rollout(self) -> None:
        """Updates the policy's input normalization.

        Raises:
            ValueError: if there are no demonstrations.
        """
        super().begin_rollout()
        if not self.discriminator.scale.count:
            raise ValueError(
                f"{type(self).__name__} imitates demonstrations and has none: set data.demonstrations, "
                "or train lightning_gan.imitation.PPO on the environment's own reward"
            )


class StateActionImitation(Imitation):
    """Base class of GAIL and VAIL: the discriminator sees states and actions, and the policy's reward is ``-log(1-D)``.

    Args:
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        discrete_actions: whether actions are discrete and given as one-hot rows.
        states_only: whether the discriminator gets observations alone; by default it gets observations and actions.
        policy_width: width of both hidden layers of the policy network and of its value network.
        critic_width: width of both hidden layers of the discriminator.
        code_size: size of the discriminator's code.
        replay: settings of the buffer of earlier policies' transitions on which the discriminator keeps training.
        action_bound: largest absolute value of a continuous action that the environment accepts.
        proximal: settings of the policy's PPO objective.
    """

    critic: ClassVar[type[PlainCritic | BottleneckCritic]]
    """The discriminator's class."""

    discriminator: PlainCritic | BottleneckCritic

    def __init__(
        self,
        *,
        observation_size: int,
        action_size: int,
        discrete_actions: bool,
        states_only: bool = False,
        policy_width: int = 64,
        critic_width: int = 64,
        code_size: int = 8,
        replay: Replay = Replay(),
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
            critic=self.critic(
                columns=observation_size if states_only else observation_size + action_size,
                width=critic_width,
                code_size=code_size,
            ),
            observation_size=observation_size,
            action_size=action_size,
            code_size=code_size if self.critic is BottleneckCritic else 0,
            replay=replay,
            proximal=proximal,
            training=training,
        )
        self.states_only = states_only
        self.action_bound = action_bound
        self.save_hyperparameters(ignore=unsaved_arguments("proximal", "replay"))

    def columns(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        if self.states_only:
            return transitions.observations
        # Clipped as the environment clips them, so that actions with the same effect have the same values.
        taken = transitions.actions.clamp(-self.action_bound, self.action_bound)
        return torch.cat([transitions.observations, taken], dim=1)

    def scaled(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        return self.columns(transitions)

    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        maps = rearrange(self.columns(transitions_of(rollout)), "batch columns -> batch columns 1 1")
        return imitation_reward(self.logits(maps, None)).reshape(rollout.rewards.shape)


@final
class GAIL(StateActionImitation):
    """Generative adversarial imitation learning (GAIL): `VAIL` without a bottleneck."""

    critic = PlainCritic

    discriminator: PlainCritic


@final
class VAIL(StateActionImitation):
    """Variational adversarial imitation learning (VAIL). Add `Bottleneck` as a callback."""

    critic = BottleneckCritic

    discriminator: BottleneckCritic
