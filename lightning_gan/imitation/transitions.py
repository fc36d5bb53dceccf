"""The interface between `Rollouts`, which steps environments and makes batches, and a model with a policy.

The model chooses actions and computes advantages and returns of a rollout. Neither imports the other.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gan.loop.draws import Rows


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Steps of a policy in several environments. The first dimensions of every tensor are `steps environments`.

    Attributes:
        observations: observation before each step.
        actions: action of each step: continuous values (not yet clipped to the environment's bounds), or the one-hot
            row of a discrete action.
        next_observations: observation after each step; at the end of an episode, its last observation.
        rewards: the environment's own reward of each step.
        terminated: whether the episode ended in a terminal state after the step.
        truncated: whether the episode was cut off after the step, for its length or because the rollout ends.
        log_probabilities: log-probability of each action under the policy that took it.
        values: value of `observations`, estimated by the value network of that policy.
        next_values: value of `next_observations`, estimated by the same network.
    """

    observations: Float[Tensor, "steps environments observation"]
    actions: Float[Tensor, "steps environments action"]
    next_observations: Float[Tensor, "steps environments observation"]
    rewards: Float[Tensor, "steps environments"]
    terminated: Bool[Tensor, "steps environments"]
    truncated: Bool[Tensor, "steps environments"]
    log_probabilities: Float[Tensor, "steps environments"]
    values: Float[Tensor, "steps environments"]
    next_values: Float[Tensor, "steps environments"]


@dataclass(frozen=True, kw_only=True)
class Transitions(Rows):
    """Single steps in any order, with all values that a turn of the policy needs. `batch` is the first dimension.

    Attributes:
        observations: observation before each step.
        actions: action of each step.
        next_observations: observation after each step.
        terminated: 1 where the episode ended in a terminal state, else 0.
        log_probabilities: log-probability of each action under the policy that took it; 0 in demonstrations.
        advantages: estimated advantage of each action; 0 in demonstrations.
        returns: target of the value of `observations`; 0 in demonstrations.
        values: value of `observations`, estimated when the step was taken; 0 in demonstrations.
    """

    observations: Float[Tensor, "batch observation"]
    actions: Float[Tensor, "batch action"]
    next_observations: Float[Tensor, "batch observation"]
    terminated: Float[Tensor, " batch"]
    log_probabilities: Float[Tensor, " batch"]
    advantages: Float[Tensor, " batch"]
    returns: Float[Tensor, " batch"]
    values: Float[Tensor, " batch"]

    def packed(self) -> Float[Tensor, "batch columns"]:
        """Returns one tensor for data loaders: a row for each step, with all fields as columns in the order above."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return torch.cat([column.reshape(len(self), -1) for column in columns], dim=1)

    @staticmethod
    def unpacked(rows: Float[Tensor, "batch columns"], *, observation_size: int, action_size: int) -> "Transitions":
        """Returns the transitions of which `packed` made these rows.

        Args:
            rows: result of `packed`.
            observation_size: number of values in an observation.
            action_size: number of values in a continuous action, or number of discrete actions.
        """
        sizes = [observation_size, action_size, observation_size, 1, 1, 1, 1, 1]
        observations, actions, next_observations, *numbers = torch.split(rows, sizes, dim=1)
        terminated, log_probabilities, advantages, returns, values = (column[:, 0] for column in numbers)
        return Transitions(
            observations=observations,
            actions=actions,
            next_observations=next_observations,
            terminated=terminated,
            log_probabilities=log_probabilities,
            advantages=advantages,
            returns=returns,
            values=values,
        )


class Agent(ABC):
    """Interface of models that have a policy."""

    @abstractmethod
    def study(self, demonstrations: Transitions) -> None:
        """Gets the demonstrations once, before the first rollout of a new training, for example to normalize inputs."""

    @abstractmethod
    def begin_rollout(self) -> None:
        """Is called before each rollout. Changes of the policy apart from its weights are made here."""

    @abstractmethod
    def act(
        self, observations: Float[Tensor, "environments observation"], noise: Float[Tensor, "environments action"]
    ) -> tuple[Float[Tensor, "environments action"], Float[Tensor, " environments"], Float[Tensor, " environments"]]:
        """Returns the training policy's random actions, their log-probabilities, and the values of the observations.

        Args:
            observations: observations of the environments.
            noise: uniform noise in (0, 1); actions are a function of it and of the observations.
        """

    @abstractmethod
    def value(self, observations: Float[Tensor, "environments observation"]) -> Float[Tensor, " environments"]:
        """Returns the value network's estimate of each observation's value."""

    @abstractmethod
    def judge(self, rollout: Rollout) -> Transitions:
        """Computes the model's rewards of a rollout, and returns its transitions with advantages and returns.

        There are `steps * environments` rows, the environments of the first step first. With several ranks, each rank
        does this for the rollout of all ranks.
        """

    @abstractmethod
    def decide(
        self,
        observations: Float[Tensor, "environments observation"],
        noise: Float[Tensor, "environments action"] | None = None,
    ) -> Float[Tensor, "environments action"]:
        """Returns actions of the policy for evaluation (with averaged weights, if a callback averages them).

        Args:
            observations: observations of the environments.
            noise: uniform noise in (0, 1) for random actions; None returns the most likely actions.
        """
