"""A policy with its value function, as fully connected networks of observations (PPO, arXiv:1707.06347, section 6.1).

Actions are a function of observations and of uniform noise, so that whoever draws the noise decides what is repeated.
"""

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.tensors.shapes import PerSample


class ActionDistribution(nn.Module, ABC):
    """Turns what an actor returns into the parameters of a distribution over actions.

    Attributes:
        in_features: how many numbers it needs from the actor.
    """

    in_features: int

    @abstractmethod
    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch parameters"]:
        """The distribution's parameters, a row for each observation."""

    @abstractmethod
    def draw(
        self, parameters: Float[Tensor, "batch parameters"], noise: Float[Tensor, "batch action"]
    ) -> Float[Tensor, "batch action"]:
        """Actions as a function of noise that is uniform in (0, 1)."""

    @abstractmethod
    def likeliest(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch action"]:
        """The mode."""

    @abstractmethod
    def log_probabilities(
        self, parameters: Float[Tensor, "batch parameters"], actions: Float[Tensor, "batch action"]
    ) -> PerSample:
        """Logarithms of the actions' probabilities, or of their densities."""

    @abstractmethod
    def entropy(self, parameters: Float[Tensor, "batch parameters"]) -> PerSample:
        """In nats."""


class GaussianActions(ActionDistribution):
    """Independent normals whose deviations are the same in every state (arXiv:1707.06347, section 6.1).

    Means are squashed into the environment's bounds. Samples are not: the environment clips them, and the density
    stays that of the normal. Deviations have a limit, because noise beyond the bounds would earn entropy and do nothing
    else.

    Args:
        action_size: numbers in an action.
        bound: the largest absolute value of a mean, and the deviation at the beginning, which stays below twice as
            much.

    Raises:
        ValueError: for a bound that is not positive.
    """

    def __init__(self, *, action_size: int, bound: float = 1.0) -> None:
        super().__init__()
        if bound <= 0:
            raise ValueError(f"the bound of the actions {bound} must be positive")
        self.in_features = action_size
        self.bound = bound
        self.raw_deviation = nn.Parameter(torch.zeros(action_size))

    def forward(self, features: Float[Tensor, "batch action"]) -> Float[Tensor, "batch parameters"]:
        log_deviation = math.log(2 * self.bound) + nn.functional.logsigmoid(self.raw_deviation)
        return torch.cat([self.bound * features.tanh(), log_deviation.expand_as(features)], dim=1)

    def draw(
        self, parameters: Float[Tensor, "batch parameters"], noise: Float[Tensor, "batch action"]
    ) -> Float[Tensor, "batch action"]:
        mean, log_deviation = parameters.chunk(2, dim=1)
        rounding = torch.finfo(noise.dtype).eps  # a uniform number may round to 0 or 1, which are infinitely far out
        normal: Tensor = torch.special.ndtri(noise.clamp(rounding, 1 - rounding))
        return mean + log_deviation.exp() * normal

    def likeliest(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch action"]:
        return parameters.chunk(2, dim=1)[0]

    def log_probabilities(
        self, parameters: Float[Tensor, "batch parameters"], actions: Float[Tensor, "batch action"]
    ) -> PerSample:
        mean, log_deviation = parameters.chunk(2, dim=1)
        distances = (actions - mean) * (-log_deviation).exp()
        return -(0.5 * distances.square() + log_deviation + 0.5 * math.log(2 * math.pi)).sum(dim=1)

    def entropy(self, parameters: Float[Tensor, "batch parameters"]) -> PerSample:
        log_deviation = parameters.chunk(2, dim=1)[1]
        return (log_deviation + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=1)


class CategoricalActions(ActionDistribution):
    """One of some discrete actions, as a one-hot row.

    Args:
        action_size: how many there are.
    """

    def __init__(self, *, action_size: int) -> None:
        super().__init__()
        self.in_features = action_size

    def forward(self, features: Float[Tensor, "batch action"]) -> Float[Tensor, "batch action"]:
        return features.log_softmax(dim=1)

    def draw(
        self, parameters: Float[Tensor, "batch action"], noise: Float[Tensor, "batch action"]
    ) -> Float[Tensor, "batch action"]:
        # -log(-log u) is a Gumbel variable; the largest of log p + Gumbel is distributed like p.
        rounding = torch.finfo(noise.dtype).eps
        gumbel = -(-noise.clamp(rounding, 1 - rounding).log()).log()
        return self.likeliest(parameters + gumbel)

    def likeliest(self, parameters: Float[Tensor, "batch action"]) -> Float[Tensor, "batch action"]:
        return nn.functional.one_hot(parameters.argmax(dim=1), parameters.shape[1]).to(parameters)

    def log_probabilities(
        self, parameters: Float[Tensor, "batch action"], actions: Float[Tensor, "batch action"]
    ) -> PerSample:
        return (parameters * actions).sum(dim=1)

    def entropy(self, parameters: Float[Tensor, "batch action"]) -> PerSample:
        return -(parameters.exp() * parameters).sum(dim=1)


class RunningScale(nn.Module):
    """Inputs with the mean and the deviation of all that it has adopted so far, clipped; before that, as they are.

    What `observe` sees takes effect with `adopt` and not before, so that a policy does not change while it acts.

    Args:
        size: columns.
        limit: the largest absolute value that it returns; keeps what is unheard of from dominating a network.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    pending_mean: Tensor
    pending_variance: Tensor
    pending_count: Tensor

    def __init__(self, *, size: int, limit: float = 10.0) -> None:
        super().__init__()
        self.limit = limit
        for prefix in ("", "pending_"):
            self.register_buffer(f"{prefix}mean", torch.zeros(size))
            self.register_buffer(f"{prefix}variance", torch.ones(size))
            self.register_buffer(f"{prefix}count", torch.zeros((), dtype=torch.int64))

    def forward(self, inputs: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch columns"]:
        # A column that never varied (a constant, an action that nobody took) is left in its own unit.
        deviation = self.variance.where(self.variance > 1e-8, 1.0).sqrt()
        return ((inputs - self.mean) / deviation).clamp(-self.limit, self.limit)

    @torch.no_grad()
    def observe(self, inputs: Float[Tensor, "batch columns"]) -> None:
        """Remember the mean and the variance of some rows."""
        self.pending_mean.copy_(inputs.mean(dim=0))
        self.pending_variance.copy_(inputs.var(dim=0, correction=0))
        self.pending_count.fill_(len(inputs))

    @torch.no_grad()
    def adopt(self) -> None:
        """Let what was observed last count; moments of two sets are joined as by Chan et al. 1979."""
        total = self.count + self.pending_count
        share = (self.pending_count / total.clamp(min=1)).to(self.mean)
        step = self.pending_mean - self.mean
        self.variance.lerp_(self.pending_variance, share).add_(share * (1 - share) * step.square())
        self.mean.add_(share * step)
        self.count.copy_(total)
        self.pending_count.zero_()


def multilayer_perceptron(
    *, in_features: int, out_features: int, width: int, hidden_layers: int, last_gain: float
) -> nn.Sequential:
    """Linear layers with tanh between them; orthogonal weights (arXiv:1312.6120), biases 0.

    Args:
        in_features: columns of the input.
        out_features: columns of the output.
        width: of the hidden layers.
        hidden_layers: how many.
        last_gain: scale of the last layer's weights; those before have the square root of 2.
    """
    sizes = [in_features, *[width] * hidden_layers]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [orthogonal_linear(before, after, gain=2**0.5), nn.Tanh()]
    return nn.Sequential(*layers, orthogonal_linear(sizes[-1], out_features, gain=last_gain))


def orthogonal_linear(in_features: int, out_features: int, *, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights times `gain`, and biases of 0."""
    layer = nn.Linear(in_features, out_features)
    nn.init.orthogonal_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


class Policy(nn.Module):
    """Observations to the parameters of a distribution over actions, and to the value of the state.

    In fp32 or fp64 always: ratios of probabilities would drown in the rounding of bf16.

    Args:
        observation_size: numbers in an observation.
        actions: what kind of actions there are.
        width: of the hidden layers.
        hidden_layers: of the actor and, on its own, of the value function.
        value_unit: what a 1 of the value network is worth; about how much can be earned in an episode.
    """

    def __init__(
        self,
        *,
        observation_size: int,
        actions: ActionDistribution,
        width: int = 64,
        hidden_layers: int = 2,
        value_unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.value_unit = value_unit
        self.scale = RunningScale(size=observation_size)
        self.actions = actions
        # A last layer near 0 starts with the same distribution in every state, undecided.
        self.actor = multilayer_perceptron(
            in_features=observation_size,
            out_features=actions.in_features,
            width=width,
            hidden_layers=hidden_layers,
            last_gain=0.01,
        )
        self.value = multilayer_perceptron(
            in_features=observation_size, out_features=1, width=width, hidden_layers=hidden_layers, last_gain=1.0
        )

    def forward(
        self, observations: Float[Tensor, "batch observation"]
    ) -> tuple[Float[Tensor, "batch parameters"], PerSample]:
        """The distribution's parameters, for the methods of `actions`, and the values."""
        with torch.autocast(observations.device.type, enabled=False):
            inputs = self.scale(observations.to(self.scale.mean))
            return self.actions(self.actor(inputs)), self.value(inputs)[:, 0] * self.value_unit
