"""Collection of a rollout: an agent acts in several environments from their initial states on."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from lightning.pytorch.strategies import Strategy
from numpy import ndarray
from torch import Tensor

from lightning_gan.imitation.environments import Environments, Step
from lightning_gan.imitation.transitions import Agent, Rollout
from lightning_gan.tensors.seeds import derived_seed


def action_noise(
    steps: int, environments: int, action_size: int, *, seed: int, rollout: int, dtype: torch.dtype
) -> Float[Tensor, "{steps} {environments} {action_size}"]:
    """Returns the noise of a rollout's random actions, uniform in (0, 1), on the CPU.

    It is drawn for the environments of all processes, and each process uses the part of its own environments.

    Args:
        steps: number of steps per rollout.
        environments: number of environments over all processes.
        action_size: number of values in a continuous action, or number of discrete actions.
        seed: seed of the data.
        rollout: number of the rollout, from 0 on.
        dtype: type of the noise.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "actions", rollout))
    noise = torch.rand(steps, environments, action_size, generator=generator, dtype=dtype)
    # Never 0 or 1, for which inverse distribution functions are infinite.
    edge = torch.finfo(dtype).eps / 2
    return noise.clamp(edge, 1 - edge)


@torch.no_grad()
def act(
    agent: Agent,
    environments: Environments,
    noise: Float[Tensor, "steps environments action"],
    *,
    seeds: Sequence[int],
) -> Rollout:
    """Resets all environments, lets the agent act for `steps` steps, and returns the rollout.

    The rollout has the device and the precision of the noise.

    Args:
        agent: the model that chooses actions.
        environments: the environments to step.
        noise: uniform noise in (0, 1) for the agent's random actions.
        seeds: seed of each environment's initial state.
    """

    def seen(numbers: ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(noise)

    decisions: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    steps: list[Step] = []
    observations = seen(environments.reset(seeds))
    for noise_of_step in noise:
        actions, log_probabilities, values = agent.act(observations, noise_of_step)
        decisions.append((observations, actions, log_probabilities, values))
        steps.append(environments.step(actions.cpu().double().numpy()))
        observations = seen(steps[-1].observations)
    all_observations, all_actions, all_log_probabilities, all_values = (
        torch.stack(tensors).to(noise) for tensors in zip(*decisions, strict=True)
    )
    next_observations = seen(np.stack([step.next_observations for step in steps]))
    terminated = torch.from_numpy(np.stack([step.terminated for step in steps])).to(noise.device)
    truncated = torch.from_numpy(np.stack([step.truncated for step in steps])).to(noise.device)
    truncated[-1] = ~terminated[-1]  # here the rollout cuts what has not ended
    next_values = agent.value(rearrange(next_observations, "steps environments o -> (steps environments) o"))
    return Rollout(
        observations=all_observations,
        actions=all_actions,
        next_observations=next_observations,
        rewards=seen(np.stack([step.rewards for step in steps])),
        terminated=terminated,
        truncated=truncated,
        log_probabilities=all_log_probabilities,
        values=all_values,
        next_values=rearrange(
            next_values, "(steps environments) -> steps environments", environments=len(environments)
        ).to(noise),
    )


def of_all_processes(rollout: Rollout, strategy: Strategy) -> Rollout:
    """Gathers the rollouts of all processes: the result is as if one process had stepped all environments."""

    def whole(field: Tensor) -> Tensor:
        # As numbers, because not every backend sends booleans.
        parts = strategy.all_gather(field.to(rollout.rewards.dtype))
        return rearrange(parts, "ranks steps environments ... -> steps (ranks environments) ...").to(field.dtype)

    return Rollout(**{field.name: whole(getattr(rollout, field.name)) for field in fields(rollout)})
