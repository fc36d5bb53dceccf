"""What a policy does in an environment as training data, beside what an expert has done there.

A rollout is collected by the policy as it is, shown for some epochs in minibatches, and forgotten; then the next one is
collected. It begins with every environment reset by seeds that are a function of (seed, rollout, environment), and what
makes actions random is a function of (seed, rollout): nothing of an environment has to be saved for an exact resume.
Only within a rollout its rows are.
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
"""The expert's transitions and the policy's, as many of each; without an expert the policy's twice."""

ENDLESS = 2**40
"""What loaders give as their length. They need one: Lightning asks loaders of unknown length for a batch ahead, and the
first batch of a rollout has to be collected by the policy that has learnt from the last batch of the one before."""


@final
@dataclass(frozen=True, kw_only=True)
class _Collected:
    """A rollout that the agent has judged: which one, and its packed transitions."""

    number: int
    rows: Rows


def digest_of(rows: Rows) -> str:
    """What tells some transitions from others."""
    return f"{len(rows)} transitions {blake2b(rows.numpy().tobytes(), digest_size=8).hexdigest()}"


@final
class Rollouts(LightningDataModule, ProvidesEnvironment):
    """An agent's own steps, and an expert's beside them. The model has to be an `Agent`.

    Training batches are endless. A batch is a `Minibatch`: rows of `Transitions.packed`, drawn without replacement from
    the demonstrations (an endless sequence of permutations) and from the current rollout (a permutation per epoch).

    Args:
        environment: gymnasium's id.
        environment_options: arguments of the environment's constructor.
        physics: numbers to set on the environment, see `Environment`.
        demonstrations: path of a file that `RecordDemonstrations` wrote, or "cartpole" or "pendulum", which come with
            the package; None for an agent that learns from the environment's own reward.
        number_of_demonstrations: episodes to learn from, the first so many; None for all.
        number_of_environments: that are stepped side by side, over all processes.
        steps_per_rollout: in each environment; longer episodes are cut there, as truncated.
        epochs_per_rollout: how often a rollout is shown before the next one is collected.
        batch_size: GLOBAL batch size, over all processes; a divisor of a rollout's steps in all environments.
        seed: of environments, actions, and the order of rows.

    Attributes:
        observation_size: numbers that the environment shows.
        action_size: numbers that it takes, or how many discrete actions there are.
        discrete_actions: whether actions are discrete.

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
            raise ValueError(f"number_of_demonstrations={number_of_demonstrations}, but there are no demonstrations")
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
        # Lightning's own would ask the loaders for a batch, in the middle of error messages too.
        return f"Rollouts in {self._environment.described}"

    # ------------------------------------------------------------------ what callbacks ask for

    @property
    def environment(self) -> Environment:
        """Where the policy acts."""
        return self._environment

    @property
    def demonstrations(self) -> Demonstrations | None:
        """What an expert did there; None for none."""
        return self._demonstrations

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, stage: str) -> None:
        """Refuses a model that cannot act, and what the processes cannot share."""
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
            self._current = None  # another trainer, another training; a checkpoint is loaded after this hook

    def train_dataloader(self) -> "MinibatchLoader":
        """The endless batches."""
        return MinibatchLoader(self)

    def val_dataloader(self) -> "OneBatch":
        """One batch of zeros: there is nothing to read, callbacks evaluate in the environment."""
        zeros = torch.zeros(1, 2 * self.observation_size + self.action_size + 5)
        return OneBatch((zeros, zeros))

    def test_dataloader(self) -> "OneBatch":
        """The same as for validation."""
        return self.val_dataloader()

    def teardown(self, stage: str) -> None:
        """Closes the environments."""
        if self._environments is not None:
            self._environments.close()
            self._environments = None

    def state_dict(self) -> dict[str, Any]:
        """The current rollout, unless training goes on with a new one, and what it belongs to."""
        rollout = batches_trained(self.trainer) // self.plan.batches
        current = self._current if self._current is not None and self._current.number == rollout else None
        return {"settings": self._settings(), "rollout": rollout, "rows": None if current is None else current.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Makes training go on within the saved rollout.

        Raises:
            ValueError: if the checkpoint was trained on other data, unless it is only being evaluated.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return
        for name, now in self._settings().items():
            if state_dict["settings"][name] != now:
                raise ValueError(
                    f"the checkpoint was trained with {name}={state_dict['settings'][name]} and the data now have "
                    f"{now}, so training cannot go on in the same way; give the same, or start anew with the saved "
                    "weights"
                )
        rows = state_dict["rows"]
        self._current = None if rows is None else _Collected(number=state_dict["rollout"], rows=rows)

    def _settings(self) -> dict[str, Any]:
        """What a training that goes on must have in common with its beginning."""
        return {
            "environment": json.dumps(self._environment.as_dict(), sort_keys=True),
            "demonstrations": self._expert_digest,
            **{setting.name: getattr(self.plan, setting.name) for setting in fields(self.plan)},
        }

    # ------------------------------------------------------------------ batches

    def batch(self, number: int) -> Minibatch:
        """This process's share of a batch. The first one of a rollout collects it."""
        rollout = number // self.plan.batches
        if self._current is None or self._current.number != rollout:
            self._current = _Collected(number=rollout, rows=self._collect(rollout))
        policy_rows = self._drawn(self._current.rows, "minibatches", number)
        if self._expert_rows is None:
            return policy_rows, policy_rows
        return self._drawn(self._expert_rows, "demonstrations", number).to(policy_rows.dtype), policy_rows

    def _drawn(self, rows: Float[Tensor, "rows columns"], stream: str, batch: int) -> Rows:
        """This process's rows of a batch, from an endless sequence of permutations of all rows."""
        size, seed = self.batch_size, derived_seed(self.seed, stream)
        rank, world_size = rank_and_world_size(self.trainer)
        share = share_of_rank(size, rank=rank, world_size=world_size)
        return rows[indices_at(batch * size, count=size, length=len(rows), seed=seed)[share]]

    def _acting(self) -> tuple[Agent, LightningModule]:
        """The model as an agent, and as a module."""
        module = None if self.trainer is None else self.trainer.lightning_module
        if not isinstance(module, Agent) or not isinstance(module, LightningModule):
            raise ValueError(
                f"Rollouts are collected by a model with a policy, which {type(module).__name__} is not; "
                "train VAIL, GAIL, VAIRL or PPO on them"
            )
        return module, module

    @torch.no_grad()
    def _collect(self, rollout: int) -> Rows:
        """All processes' steps, judged."""
        agent, module = self._acting()
        assert self.trainer is not None
        # Should the agent draw anything by itself, it must not depend on where a run was cut.
        with isolate_rng(), self.trainer.precision_plugin.forward_context():
            torch.manual_seed(derived_seed(self.seed, "rollout", rollout))
            if rollout == 0 and self._expert_rows is not None:
                agent.study(self._unpacked(self._expert_rows.to(module.device, _dtype_of(module))))
            agent.begin_rollout()
            return agent.judge(self._act(agent, module, rollout)).packed().cpu()

    def _act(self, agent: Agent, module: LightningModule, rollout: int) -> Rollout:
        """Steps this process's environments, and gathers those of all."""
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
    """The endless batches of `Rollouts`, made when they are asked for, from where training is on.

    No DataLoader: that would read ahead.
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
    """A loader of a single batch."""

    def __init__(self, batch: Minibatch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Minibatch]:
        return iter([self.batch])


def _dtype_of(module: LightningModule) -> torch.dtype:
    assert isinstance(module.dtype, torch.dtype)
    return module.dtype
