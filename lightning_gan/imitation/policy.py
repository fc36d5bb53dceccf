"""A policy network and its value network, both fully connected (PPO, arXiv:1707.06347, section 6.1).

Actions are a function of observations and of uniform noise, so that equal noise gives equal actions.
"""

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.tensors.shapes import PerSample


class ActionDistribution(nn.Module, ABC):
    """Base class of distributions over actions; it turns the actor network's output into their parameters.

    Attributes:
        in_features: number of values that it needs from the actor network.
    """

    in_features: int

    @abstractmethod
    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch parameters"]:
        """Returns the distribution's parameters, a row for each observation."""

    @abstractmethod
    def draw(
        self, parameters: Float[Tensor, "batch parameters"], noise: Float[Tensor, "batch action"]
    ) -> Float[Tensor, "batch action"]:
        """Returns random actions as a function of noise that is uniform in (0, 1)."""

    @abstractmethod
    def likeliest(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch action"]:
        """Returns the most likely actions."""

    @abstractmethod
    def log_probabilities(
        self, parameters: Float[Tensor, "batch parameters"], actions: Float[Tensor, "batch action"]
    ) -> PerSample:
        """Returns the log-probabilities of discrete actions, or the log-densities of continuous ones, in nats."""

    @abstractmethod
    def entropy(self, parameters: Float[Tensor, "batch parameters"]) -> PerSample:
        """Returns the entropy of each row's distribution in nats."""


class GaussianActions(ActionDistribution):
    """Independent normal distributions whose deviations are the same in every state (arXiv:1707.06347, section 6.1).

    tanh keeps the means within the environment's bounds. Samples may be outside: the environment clips them, and the
    density is still that of the normal distribution. Deviations have a limit, because noise beyond the bounds increases
    the entropy but does not change what the environment does.

    Args:
        action_size: number of values in an action.
        bound: largest absolute value of a mean; it is also the initial standard deviation, which stays below twice
            this value.

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
        rounding = torch.finfo(noise.dtype).eps  # uniform noise may round to 0 or 1, whose quantiles are infinite
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
    """A categorical distribution over discrete actions, which are one-hot rows.

    Args:
        action_size: number of discrete actions.
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
    """Normalizes inputs by the mean and the standard deviation of all rows so far, and clips the result.

    `observe` computes the moments of new rows, and `adopt` adds them to those in use, so that a policy does not change
    while it acts. Before the first `adopt`, inputs are only clipped.

    Args:
        size: number of columns.
        limit: largest absolute value of an output, so that an unusual input cannot dominate a network.
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
        """Returns normalized and clipped rows."""
        # A column that never varied (a constant, an action that was never taken) is not divided.
        deviation = self.variance.where(self.variance > 1e-8, 1.0).sqrt()
        return ((inputs - self.mean) / deviation).clamp(-self.limit, self.limit)

    @torch.no_grad()
    def observe(self, inputs: Float[Tensor, "batch columns"]) -> None:
        """Stores the mean and the variance of some rows for the next `adopt`, in place of any stored before."""
        self.pending_mean.copy_(inputs.mean(dim=0))
        self.pending_variance.copy_(inputs.var(dim=0, correction=0))
        self.pending_count.fill_(len(inputs))

    @torch.no_grad()
    def adopt(self) -> None:
        """Adds the moments that `observe` stored last to those in use, by the formula of Chan et al. 1979."""
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
    """Returns linear layers with tanh between them; weights are orthogonal (arXiv:1312.6120) and biases 0.

    Args:
        in_features: number of columns of the input.
        out_features: number of columns of the output.
        width: width of the hidden layers.
        hidden_layers: number of hidden layers.
        last_gain: gain of the last layer's orthogonal weights; the gain of the other layers is the square root of 2.
    """
    sizes = [in_features, *[width] * hidden_layers]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [orthogonal_linear(before, after, gain=2**0.5), nn.Tanh()]
    return nn.Sequential(*layers, orthogonal_linear(sizes[-1], out_features, gain=last_gain))


def orthogonal_linear(in_features: int, out_features: int, *, gain: float) -> nn.Linear:
    """Returns a linear layer with orthogonal weights times `gain`, and biases of 0."""
    layer = nn.Linear(in_features, out_features)
    nn.init.orthogonal_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


class Policy(nn.Module):
    """A network for the parameters of a distribution over actions, and another for the value of the state.

    It always computes in fp32 or fp64, because the rounding errors of bf16 are too large for ratios of probabilities.

    Args:
        observation_size: number of values in an observation.
        actions: distribution of the actions.
        width: width of the hidden layers of both networks.
        hidden_layers: number of hidden layers of each of the two networks.
        value_unit: factor of the value network's output; about the discounted return of a reward of 1 per step.
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
        # With a last layer near 0 the initial distribution is nearly the same in every state.
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
        """Returns the distribution's parameters, for the methods of `actions`, and the values of the observations."""
        with torch.autocast(observations.device.type, enabled=False):
            inputs = self.scale(observations.to(self.scale.mean))
            return self.actions(self.actor(inputs)), self.value(inputs)[:, 0] * self.value_unit
