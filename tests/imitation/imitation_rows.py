"""Small imitators of every kind, and batches of made-up transitions for them."""

from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.imitation import GAIL, PPO, VAIL, VAIRL
from lightning_gan.imitation.imitation_gan import ImitationGAN
from lightning_gan.imitation.transitions import Rollout, Transitions
from lightning_gan.loop.settings import Training
from tests.toys import FAST, toy_trainer

OBSERVATIONS, ACTIONS = 3, 2
SMALL: dict[str, Any] = {
    "observation_size": OBSERVATIONS,
    "action_size": ACTIONS,
    "discrete_actions": False,
    "policy_width": 5,
}
CRITIC: dict[str, Any] = {"critic_width": 4, "code_size": 2}


def training_of(kind: type[ImitationGAN], **changes: Any) -> Training:
    """Large steps; PPO has no critic to train."""
    return replace(FAST, **{"discriminator_turns": 0 if kind is PPO else 1, **changes})


def small(kind: type[ImitationGAN], **settings: Any) -> Any:
    """A model that has studied, with fixed initial weights."""
    torch.manual_seed(3)
    model = kind(**{**SMALL, **({} if kind is PPO else CRITIC), "training": training_of(kind), **settings})
    model.study(transitions(20, seed=9, discrete=model.hparams["discrete_actions"]))
    return model


def transitions(count: int, *, seed: int, discrete: bool = False, dtype: torch.dtype = torch.float32) -> Transitions:
    """Random ones, with everything that a turn of the policy needs."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random, dtype=torch.float64).to(dtype)

    actions = normal(ACTIONS)
    return Transitions(
        observations=normal(OBSERVATIONS),
        actions=torch.eye(ACTIONS, dtype=dtype)[actions.argmax(1)] if discrete else actions,
        next_observations=normal(OBSERVATIONS),
        terminated=(normal() > 1).to(dtype),
        log_probabilities=normal() / 5 - 2,
        advantages=normal(),
        returns=normal(),
        values=normal(),
    )


def rollout(steps: int = 4, environments: int = 3, *, seed: int = 5, discrete: bool = False) -> Rollout:
    """A random one."""
    made = transitions(steps * environments, seed=seed, discrete=discrete)

    def deal(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (steps, environments))

    truncated = torch.zeros(steps, environments, dtype=torch.bool)
    truncated[-1] = True
    return Rollout(
        observations=deal(made.observations),
        actions=deal(made.actions),
        next_observations=deal(made.next_observations),
        rewards=deal(made.advantages),
        terminated=deal(made.terminated > 0) & ~truncated,
        truncated=truncated,
        log_probabilities=deal(made.log_probabilities),
        values=deal(made.values),
        next_values=deal(made.returns),
    )


def loader(batches: int, *, discrete: bool = False, batch_size: int = 8, dtype: torch.dtype = torch.float32) -> Any:
    """Batches of an expert's rows and of the policy's."""
    expert, policy = (transitions(batches * batch_size, seed=s, discrete=discrete, dtype=dtype) for s in (1, 2))
    return DataLoader(TensorDataset(expert.packed(), policy.packed()), batch_size=batch_size)


def trained(model: ImitationGAN, *callbacks: Callback, batches: int = 1, **settings: Any) -> dict[str, float]:
    """Train for some batches of made-up transitions, and give the terms of the last turns."""
    discrete = model.hparams["discrete_actions"]
    dtype = torch.float64 if settings.get("precision") == "64-true" else torch.float32
    toy_trainer(*callbacks, **settings).fit(model, loader(batches, discrete=discrete, dtype=dtype))
    return {name: float(term) for name, term in model._latest_terms.items()}


def parameters_by_player(model: ImitationGAN) -> dict[str, Tensor]:
    """Parameters of both networks by name."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    return {
        f"{player}.{name}": parameter
        for player, network in networks.items()
        for name, parameter in network.named_parameters()
    }


KINDS = [GAIL, VAIL, VAIRL, PPO]
