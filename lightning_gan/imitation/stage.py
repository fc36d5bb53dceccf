"""What callbacks need that let a model's policy play in the environment of its data."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.imitation.demonstrations import ProvidesEnvironment
from lightning_gan.imitation.environments import Actions, Decide, Observations
from lightning_gan.imitation.transitions import Agent


class Stage(NamedTuple):
    """Who plays, and where."""

    policy: Decide
    data: ProvidesEnvironment


def stage_of(title: str, trainer: Trainer, module: LightningModule) -> Stage:
    """The policy that a model is evaluated by, and the data whose environment it plays in.

    Args:
        title: the callback, for errors.
        trainer: with the data.
        module: the model.

    Raises:
        ValueError: if the model has no policy, or the data have no environment.
    """
    agent = agent_of(title, module)
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, ProvidesEnvironment):
        known = "there is no data module" if data is None else f"{type(data).__name__} has none"
        raise ValueError(f"{title}: a policy plays in the data's environment, but {known}; train on data.Rollouts")
    return Stage(policy_of(agent, module), data)


def agent_of(title: str, module: LightningModule) -> Agent:
    """The model, as one that has a policy.

    Raises:
        ValueError: if it has none.
    """
    if not isinstance(module, Agent):
        raise ValueError(
            f"{title}: {type(module).__name__} has no policy that could play; it is for VAIL, GAIL, VAIRL and PPO"
        )
    return module


def policy_of(agent: Agent, module: LightningModule, *, noise: Callable[[int], Tensor] | None = None) -> Decide:
    """The agent's actions, decided on the module's device.

    Args:
        agent: decides.
        module: the same, as a module.
        noise: of so many actions, see `Agent.decide`; None for the likeliest.
    """
    dtype = module.dtype
    assert isinstance(dtype, torch.dtype)

    def decide(observations: Observations) -> Actions:
        drawn = None if noise is None else noise(len(observations)).to(module.device, dtype)
        actions = agent.decide(torch.from_numpy(observations).to(module.device, dtype), drawn)
        decided: Actions = actions.cpu().double().numpy()
        return decided

    return decide
