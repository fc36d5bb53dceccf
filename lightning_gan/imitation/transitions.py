"""What a model with a policy, and those who let it act, know of each other.

`data.Rollouts` steps environments and deals out what happened, a model acts and says what the steps were worth;
neither imports the other.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gan.loop.draws import Rows


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What happened in some environments while a policy acted: `steps environments` first, in every tensor.

    Attributes:
        observations: before each step.
        actions: taken in each step: numbers as the environment takes them (not yet clipped to its bounds), or one-hot
            rows of discrete actions.
        next_observations: after each step; of the episode that ends there, not of the next one.
        rewards: the environment's own.
        terminated: the episode ended in a terminal state, behind which nothing can be earned.
        truncated: the episode was cut off for its length, or because the rollout ends.
        log_probabilities: of the actions, by the policy that took them.
        values: what that policy expected to earn from `observations` on.
        next_values: and from `next_observations` on.
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
    """Single steps, in any order, with what a turn of the policy needs; `batch` first, in every tensor.

    Attributes:
        observations: before the step.
        actions: taken.
        next_observations: after it.
        terminated: 1 where the episode ended in a terminal state, else 0.
        log_probabilities: by the policy that took the actions; 0 in demonstrations.
        advantages: how much better than expected the step was; 0 in demonstrations.
        returns: what the value of `observations` should have been; 0 in demonstrations.
        values: what it was; 0 in demonstrations.
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
        """All tensors side by side in the order above, one row per step: data loaders deal out tensors."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return torch.cat([column.reshape(len(self), -1) for column in columns], dim=1)

    @staticmethod
    def unpacked(rows: Float[Tensor, "batch columns"], *, observation_size: int, action_size: int) -> "Transitions":
        """What `packed` made, for observations and actions of these sizes."""
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
    """A model with a policy."""

    @abstractmethod
    def study(self, demonstrations: Transitions) -> None:
        """Called once, before the first rollout of a training that starts anew: here inputs can be scaled."""

    @abstractmethod
    def begin_rollout(self) -> None:
        """Called before each rollout: what changes how the policy acts, beside its weights, changes here."""

    @abstractmethod
    def act(
        self, observations: Float[Tensor, "environments observation"], noise: Float[Tensor, "environments action"]
    ) -> tuple[Float[Tensor, "environments action"], Float[Tensor, " environments"], Float[Tensor, " environments"]]:
        """Random actions, their log-probabilities, and the values of the observations, by the policy in training.

        Args:
            observations: as the environments give them.
            noise: uniform in (0, 1); actions are a function of it and of the observations.
        """

    @abstractmethod
    def value(self, observations: Float[Tensor, "environments observation"]) -> Float[Tensor, " environments"]:
        """What the policy expects to earn from here on."""

    @abstractmethod
    def judge(self, rollout: Rollout) -> Transitions:
        """A rollout with the reward that the model pays for it: advantages and returns.

        Rows are `steps * environments`, the environments of the first step first. With several ranks each judges the
        rollout of all of them.
        """

    @abstractmethod
    def decide(
        self,
        observations: Float[Tensor, "environments observation"],
        noise: Float[Tensor, "environments action"] | None = None,
    ) -> Float[Tensor, "environments action"]:
        """Actions by the policy that is evaluated (the averaged one, if a callback averages it).

        Args:
            observations: as the environments give them.
            noise: uniform in (0, 1), for random actions; None for the likeliest.
        """
