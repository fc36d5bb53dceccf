"""Helpers of callbacks that play episodes with a model's policy in the environment of its data."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.imitation.demonstrations import ProvidesEnvironment
from lightning_gan.imitation.environments import Actions, Decide, Observations
from lightning_gan.imitation.transitions import Agent


class Stage(NamedTuple):
    """A policy, and the data whose environment it plays in."""

    policy: Decide
    data: ProvidesEnvironment


def stage_of(title: str, trainer: Trainer, module: LightningModule) -> Stage:
    """Returns the policy by which a model is evaluated, and the data whose environment it plays in.

    Args:
        title: name of the callback, for error messages.
        trainer: trainer that has the data.
        module: the model.

    Raises:
        ValueError: if the model has no policy, or the data have no environment.
    """
    agent = agent_of(title, module)
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, ProvidesEnvironment):
        known = "there is no data module" if data is None else f"{type(data).__name__} has none"
        raise ValueError(
            f"{title}: a policy plays in the data's environment, but {known}; train on lightning_gan.imitation.Rollouts"
        )
    return Stage(policy_of(agent, module), data)


def agent_of(title: str, module: LightningModule) -> Agent:
    """Returns the model as an `Agent`.

    Args:
        title: name of the callback, for error messages.
        module: the model.

    Raises:
        ValueError: if it has none.
    """
    if not isinstance(module, Agent):
        raise ValueError(
            f"{title}: {type(module).__name__} has no policy; use this callback with VAIL, GAIL, VAIRL or PPO"
        )
    return module


def policy_of(agent: Agent, module: LightningModule, *, noise: Callable[[int], Tensor] | None = None) -> Decide:
    """Returns the agent's policy as a function of arrays; it computes on the module's device.

    Args:
        agent: the model that chooses actions.
        module: the same model as a module.
        noise: returns uniform noise in (0, 1) for a number of actions; None takes the most likely actions.
    """
    dtype = module.dtype
    assert isinstance(dtype, torch.dtype)

    def decide(observations: Observations) -> Actions:
        drawn = None if noise is None else noise(len(observations)).to(module.device, dtype)
        actions = agent.decide(torch.from_numpy(observations).to(module.device, dtype), drawn)
        decided: Actions = actions.cpu().double().numpy()
        return decided

    return decide
