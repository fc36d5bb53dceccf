"""Imitation by a critic with a bottleneck, VAIL (Peng et al. 2019, arXiv:1810.00821, section 4.2), and without: GAIL.

GAIL (Ho and Ermon 2016, arXiv:1606.03476) pays a policy for transitions that a critic takes for an expert's. A critic
that tells them perfectly says nothing about what is better, so VAIL lets it know only so much of a transition; add
`Bottleneck` as a callback.

GAIL takes the policy's steps within a trust region (TRPO); all policies here take PPO's, see `imitation_game`. The
critic's inputs are scaled by the demonstrations' mean and deviation.
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
from lightning_gan.tensors.shapes import Images, Logits


def features_of(*, in_features: int, width: int) -> nn.Sequential:
    """Two hidden layers, the second without what follows it."""
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
    """The code with this standard normal noise; its mean without."""
    return mean if noise is None else reparametrized(mean, log_variance, noise)


class ScalesInputs(nn.Module):
    """A critic that scales what it sees.

    Args:
        columns: that are scaled.
    """

    def __init__(self, *, columns: int) -> None:
        super().__init__()
        self.scale = RunningScale(size=columns)


class PlainCritic(ScalesInputs):
    """GAIL's: columns to a code, and the code to a logit. `BottleneckCritic` without the bottleneck."""

    def __init__(self, *, columns: int, width: int, code_size: int) -> None:
        super().__init__(columns=columns)
        self.code = nn.Sequential(features_of(in_features=columns, width=width), nn.Linear(width, code_size))
        self.output = nn.Linear(code_size, 1)

    def forward(self, maps: Images) -> Logits:
        columns = rearrange(maps, "batch columns 1 1 -> batch columns")
        logits: Tensor = self.output(self.code(self.scale(columns)))
        return logits


class BottleneckCritic(ScalesInputs):
    """VAIL's: columns to a Gaussian code, and the code to a logit ``w^T z + b`` (arXiv:1810.00821, section 4).

    Arguments that are not listed are as in `StateActionImitation`.

    Args:
        width: of the two hidden layers.
    """

    def __init__(self, *, columns: int, width: int, code_size: int) -> None:
        super().__init__(columns=columns)
        self.bottleneck = nn.Sequential(
            features_of(in_features=columns, width=width), GaussianCode(in_features=width, code_features=code_size)
        )
        self.output = nn.Linear(code_size, 1)

    def forward(self, maps: Images, noise: Float[Tensor, "batch code"] | None = None) -> Logits:
        """Logits, `batch 1`, of codes with this noise, or of their means."""
        columns = rearrange(maps, "batch columns 1 1 -> batch columns")
        mean, log_variance = self.bottleneck(self.scale(columns))
        logits: Tensor = self.output(coded(mean, log_variance, noise))
        return logits


class Imitation(ImitationGAN):
    """What GAIL, VAIL and VAIRL share: a critic that sees the demonstrations before all else, to scale its inputs."""

    discriminator: ScalesInputs

    @abstractmethod
    def scaled(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        """The columns by whose mean and deviation the critic scales what it sees."""

    def study(self, demonstrations: Transitions) -> None:
        self.discriminator.scale.observe(self.scaled(demonstrations))
        self.discriminator.scale.adopt()

    def begin_rollout(self) -> None:
        super().begin_rollout()
        if not self.discriminator.scale.count:
            raise ValueError(
                f"{type(self).__name__} imitates demonstrations and has none: set the data's demonstrations, "
                "or train models.PPO on the environment's own reward"
            )


class StateActionImitation(Imitation):
    """What GAIL and VAIL share: a critic of states and actions whose belief in an expert is paid for.

    Args:
        observation_size: numbers in an observation.
        action_size: numbers in an action, or how many discrete actions there are.
        discrete_actions: whether actions are one-hot rows.
        states_only: the critic does not see actions.
        policy_width: of the two hidden layers of the policy, and of its value function.
        critic_width: of the critic's two hidden layers.
        code_size: of the critic's code.
        replay: which transitions of earlier policies the critic goes on seeing.
        action_bound: actions that are numbers lie within plus and minus this.
        proximal: what the policy's turn asks for.
    """

    critic: ClassVar[type[PlainCritic | BottleneckCritic]]
    """The kind of critic."""

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
        # As the environment takes them: what it clips says nothing about who acts.
        taken = transitions.actions.clamp(-self.action_bound, self.action_bound)
        return torch.cat([transitions.observations, taken], dim=1)

    def scaled(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        return self.columns(transitions)

    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        maps = rearrange(self.columns(transitions_of(rollout)), "batch columns -> batch columns 1 1")
        return imitation_reward(self.logits(maps, None)).reshape(rollout.rewards.shape)


@final
class GAIL(StateActionImitation):
    """Generative adversarial imitation learning: `VAIL` without a bottleneck."""

    critic = PlainCritic

    discriminator: PlainCritic


@final
class VAIL(StateActionImitation):
    """Variational adversarial imitation learning; add `Bottleneck` as a callback."""

    critic = BottleneckCritic

    discriminator: BottleneckCritic
