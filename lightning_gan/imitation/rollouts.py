"""A data module that collects a policy's steps in an environment, and pairs them with an expert's steps.

The current policy collects a rollout, training goes through it for some epochs in minibatches, and the next rollout
replaces it. Every rollout resets each environment with a seed that is a function of (seed, rollout, environment), and
the noise of actions is a function of (seed, rollout). So an exact resume needs no state of an environment; a checkpoint
within a rollout saves the rollout's rows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import count
from typing import Any, TypeAlias, final

import torch
from jaxtyping import Float
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_gan.data.position import batches_trained, rank_and_world_size
from lightning_gan.data.stream import indices_at, share_of_rank
from lightning_gan.imitation.acting import act, action_noise, of_all_processes
from lightning_gan.imitation.demonstrations import Demonstrations, ProvidesEnvironment, load_demonstrations
from lightning_gan.imitation.environments import Environment, Environments, facts_of
from lightning_gan.imitation.rollout_plan import RolloutPlan
from lightning_gan.imitation.transitions import Agent, Rollout, Transitions
from lightning_gan.tensors.seeds import derived_seed

Rows: TypeAlias = Float[Tensor, "batch columns"]
"""Packed `Transitions`."""
Minibatch: TypeAlias = tuple[Rows, Rows]
"""Equal numbers of the expert's transitions and of the policy's; without an expert, the policy's twice."""

ENDLESS = 2**40
"""Length of the endless loaders. Lightning reads one batch ahead from loaders of unknown length, but the first batch of
a rollout must be collected after the policy's step on the last batch of the rollout before."""


@final
@dataclass(frozen=True, kw_only=True)
class _Collected:
    """A rollout with the agent's advantages and returns: its number, and its packed transitions."""

    number: int
    rows: Rows


def digest_of(rows: Rows) -> str:
    """Returns the number of transitions and a hash of them, to detect other demonstrations when training resumes."""
    return f"{len(rows)} transitions {blake2b(rows.numpy().tobytes(), digest_size=8).hexdigest()}"


@final
class Rollouts(LightningDataModule, ProvidesEnvironment):
    """Training batches of an agent's own steps in an environment and of an expert's. The model must be an `Agent`.

    Training batches are endless. A batch is a `Minibatch`: rows of `Transitions.packed`, drawn without replacement from
    the demonstrations (an endless sequence of permutations) and from the current rollout (a permutation per epoch).

    Args:
        environment: gymnasium's id of the environment.
        environment_options: keyword arguments of the environment's constructor, such as {"g": 12.0} for Pendulum-v1.
        physics: numerical attributes to set on the environment once it is made, such as {"length": 1.0} for
            CartPole-v1. Attributes that the constructor derives from others must be given, too.
        demonstrations: path of a file that `RecordDemonstrations` wrote, or "cartpole" or "pendulum", which come with
            the package; None for an agent that learns from the environment's own reward.
        number_of_demonstrations: number of episodes to learn from, counted from the first; None uses all.
        number_of_environments: number of environments that are stepped side by side, over all processes.
        steps_per_rollout: number of steps in each environment per rollout; longer episodes are cut there and count as
            truncated.
        epochs_per_rollout: number of training epochs on a rollout before the next one is collected.
        batch_size: GLOBAL batch size in transitions, over all processes; a divisor of a rollout's steps in all
            environments.
        seed: seed of the environments, of the actions, and of the order of rows.

    Attributes:
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        discrete_actions: whether actions are discrete and given as one-hot rows.

    Raises:
        ValueError: for settings out of range, an environment that cannot be made, and demonstrations that do not fit.
    """

    def __init__(
        self,
        *,
        environment: str = "CartPole-v1",
        environment_options: dict[str, Any] | None = None,
        physics: dict[str, float] | None = None,
        demonstrations: str | None = None,
        number_of_demonstrations: int | None = None,
        number_of_environments: int = 8,
        steps_per_rollout: int = 256,
        epochs_per_rollout: int = 10,
        batch_size: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if demonstrations is None and number_of_demonstrations is not None:
            raise ValueError(
                f"number_of_demonstrations={number_of_demonstrations}, but there are no demonstrations; "
                "set data.demonstrations, or leave number_of_demonstrations out"
            )
        self.plan = RolloutPlan(
            number_of_environments=number_of_environments,
            steps_per_rollout=steps_per_rollout,
            epochs_per_rollout=epochs_per_rollout,
            batch_size=batch_size,
        )
        self.batch_size = batch_size
        self.seed = seed
        self._environment = Environment(id=environment, options=environment_options or {}, physics=physics or {})
        facts = facts_of(self._environment)
        self.observation_size = facts.observation_size
        self.action_size = facts.action_size
        self.discrete_actions = facts.discrete_actions
        self._demonstrations: Demonstrations | None = None
        if demonstrations is not None:
            found = load_demonstrations(demonstrations)
            found.check_fits(self._environment, facts)
            self._demonstrations = found if number_of_demonstrations is None else found.first(number_of_demonstrations)
        self._expert_rows = None if self._demonstrations is None else self._demonstrations.transitions().packed()
        self._expert_digest = None if self._expert_rows is None else digest_of(self._expert_rows)
        self._environments: Environments | None = None
        self._current: _Collected | None = None

    def __str__(self) -> str:
        # Lightning's own __str__ reads a batch from the loaders, even while it formats an error message.
        return f"Rollouts in {self._environment.described}"

    # ------------------------------------------------------------------ for callbacks

    @property
    def environment(self) -> Environment:
        """The environment in which the policy acts."""
        return self._environment

    @property
    def demonstrations(self) -> Demonstrations | None:
        """The expert's demonstrations, or None if there are none."""
        return self._demonstrations

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, stage: str) -> None:
        """Checks the model and the numbers that the processes share.

        Raises:
            ValueError: if the model has no policy, or the processes cannot share the batch or the environments equally.
        """
        if stage != "fit":
            return
        self._acting()
        rank, world_size = rank_and_world_size(self.trainer)
        share_of_rank(self.batch_size, rank=rank, world_size=world_size)
        if self.plan.number_of_environments % world_size:
            raise ValueError(
                f"number_of_environments={self.plan.number_of_environments} cannot be shared equally by {world_size} "
                f"processes; give a multiple of {world_size}"
            )
        if batches_trained(self.trainer) == 0:
            self._current = None  # a new training starts; a checkpoint would be loaded after this hook

    def train_dataloader(self) -> "MinibatchLoader":
        """Returns a loader of endless batches."""
        return MinibatchLoader(self)

    def val_dataloader(self) -> "OneBatch":
        """Returns a loader of one batch of zeros, because callbacks evaluate the policy in the environment."""
        zeros = torch.zeros(1, 2 * self.observation_size + self.action_size + 5)
        return OneBatch((zeros, zeros))

    def test_dataloader(self) -> "OneBatch":
        """Returns the validation loader."""
        return self.val_dataloader()

    def teardown(self, stage: str) -> None:
        """Closes the environments."""
        if self._environments is not None:
            self._environments.close()
            self._environments = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the settings, the current rollout's number and, if training goes on within it, its rows."""
        rollout = batches_trained(self.trainer) // self.plan.batches
        current = self._current if self._current is not None and self._current.number == rollout else None
        return {"settings": self._settings(), "rollout": rollout, "rows": None if current is None else current.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the saved rollout, so that training goes on within it.

        Raises:
            ValueError: if the checkpoint was trained on other data, unless it is only being evaluated.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return
        for name, now in self._settings().items():
            if state_dict["settings"][name] != now:
                raise ValueError(
                    f"the checkpoint was trained with {name}={state_dict['settings'][name]} and the data now have "
                    f"{now}, so training cannot go on in the same way; set {name} as in the checkpoint, or begin anew "
                    "with the weights (fit --weights CHECKPOINT in place of --resume or --ckpt_path)"
                )
        rows = state_dict["rows"]
        self._current = None if rows is None else _Collected(number=state_dict["rollout"], rows=rows)

    def _settings(self) -> dict[str, Any]:
        """Returns the settings that must be the same when training resumes from a checkpoint."""
        return {
            "environment": json.dumps(self._environment.as_dict(), sort_keys=True),
            "demonstrations": self._expert_digest,
            **{setting.name: getattr(self.plan, setting.name) for setting in fields(self.plan)},
        }

    # ------------------------------------------------------------------ batches

    def batch(self, number: int) -> Minibatch:
        """Returns this process's share of a batch; the first batch of a rollout collects the rollout.

        Args:
            number: number of the batch in the whole training, from 0 on.
        """
        rollout = number // self.plan.batches
        if self._current is None or self._current.number != rollout:
            self._current = _Collected(number=rollout, rows=self._collect(rollout))
        policy_rows = self._drawn(self._current.rows, "minibatches", number)
        if self._expert_rows is None:
            return policy_rows, policy_rows
        return self._drawn(self._expert_rows, "demonstrations", number).to(policy_rows.dtype), policy_rows

    def _drawn(self, rows: Float[Tensor, "rows columns"], stream: str, batch: int) -> Rows:
        """Returns this process's rows of a batch, from an endless sequence of permutations of all rows."""
        size, seed = self.batch_size, derived_seed(self.seed, stream)
        rank, world_size = rank_and_world_size(self.trainer)
        share = share_of_rank(size, rank=rank, world_size=world_size)
        return rows[indices_at(batch * size, count=size, length=len(rows), seed=seed)[share]]

    def _acting(self) -> tuple[Agent, LightningModule]:
        """Returns the model twice, as an agent and as a module; raises a ValueError if it has no policy."""
        module = None if self.trainer is None else self.trainer.lightning_module
        if not isinstance(module, Agent) or not isinstance(module, LightningModule):
            raise ValueError(
                f"Rollouts are collected by a model with a policy, which {type(module).__name__} does not have; "
                "train VAIL, GAIL, VAIRL or PPO on them"
            )
        return module, module

    @torch.no_grad()
    def _collect(self, rollout: int) -> Rows:
        """Returns the packed transitions of all processes, with the agent's advantages and returns."""
        agent, module = self._acting()
        assert self.trainer is not None
        # If the agent draws random numbers itself, they must not depend on where a run was interrupted.
        with isolate_rng(), self.trainer.precision_plugin.forward_context():
            torch.manual_seed(derived_seed(self.seed, "rollout", rollout))
            if rollout == 0 and self._expert_rows is not None:
                agent.study(self._unpacked(self._expert_rows.to(module.device, _dtype_of(module))))
            agent.begin_rollout()
            return agent.judge(self._act(agent, module, rollout)).packed().cpu()

    def _act(self, agent: Agent, module: LightningModule, rollout: int) -> Rollout:
        """Steps this process's environments, and gathers the rollouts of all processes."""
        assert self.trainer is not None
        rank, world_size = rank_and_world_size(self.trainer)
        environments = self.plan.number_of_environments
        share = share_of_rank(environments, rank=rank, world_size=world_size)
        mine = range(environments)[share]
        if self._environments is None:
            self._environments = Environments(self._environment, count=len(mine))
        noise = action_noise(
            self.plan.steps_per_rollout,
            environments,
            self.action_size,
            seed=self.seed,
            rollout=rollout,
            dtype=_dtype_of(module),
        )
        seeds = [derived_seed(self.seed, "environment", rollout, environment) for environment in mine]
        done = act(agent, self._environments, noise[:, share].to(module.device), seeds=seeds)
        return done if world_size == 1 else of_all_processes(done, self.trainer.strategy)

    def _unpacked(self, rows: Rows) -> Transitions:
        return Transitions.unpacked(rows, observation_size=self.observation_size, action_size=self.action_size)


@final
class MinibatchLoader:
    """The endless batches of `Rollouts`, each made when it is needed, from the current position of training on.

    It is not a DataLoader, because a DataLoader reads ahead.

    Args:
        data: the data module that makes the batches.
    """

    def __init__(self, data: Rollouts) -> None:
        self.data = data

    def __len__(self) -> int:
        return ENDLESS

    def __iter__(self) -> Iterator[Minibatch]:
        # Lightning iterates anew for every epoch, which `limit_train_batches` ends.
        return (self.data.batch(number) for number in count(batches_trained(self.data.trainer)))


@final
class OneBatch:
    """A loader of a single batch.

    Args:
        batch: the batch.
    """

    def __init__(self, batch: Minibatch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Minibatch]:
        return iter([self.batch])


def _dtype_of(module: LightningModule) -> torch.dtype:
    assert isinstance(module.dtype, torch.dtype)
    return module.dtype
