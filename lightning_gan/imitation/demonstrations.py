"""Demonstrations: an expert's whole episodes in an environment, saved in a file and used as single transitions."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray

from lightning_gan.atomic_files import written_whole
from lightning_gan.imitation.environments import Environment, EnvironmentFacts, Episode
from lightning_gan.imitation.transitions import Transitions

EMBEDDED = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}
"""Names of the demonstrations that come with the package, and the ids of their environments."""

ARRAYS: dict[str, type] = {
    "observations": np.float32,
    "actions": np.float32,
    "next_observations": np.float32,
    "terminated": np.bool_,
    "lengths": np.int64,
    "returns": np.float64,
}
"""Names and types of the arrays in a file. It also has "environment", its id, options and physics as JSON."""


@final
@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """Whole episodes, one after the other, with a row for each step.

    Attributes:
        environment: environment in which they were played.
        observations: observation before each step.
        actions: action that the expert chose in each step: its values, or the one-hot row of a discrete action.
        next_observations: observation after each step; at the end of an episode, its last observation.
        terminated: whether the episode ended in a terminal state after the step.
        lengths: number of steps of each episode.
        returns: undiscounted sum of the environment's own rewards in each episode.
    """

    environment: Environment
    observations: Float[ndarray, "steps observation"]
    actions: Float[ndarray, "steps action"]
    next_observations: Float[ndarray, "steps observation"]
    terminated: Bool[ndarray, " steps"]
    lengths: Int64[ndarray, " episodes"]
    returns: Float[ndarray, " episodes"]

    def __len__(self) -> int:
        return len(self.observations)

    @staticmethod
    def of_episodes(environment: Environment, episodes: Sequence[Episode]) -> "Demonstrations":
        """Returns the demonstrations made of some episodes, in single precision.

        Args:
            environment: environment in which they were played.
            episodes: the episodes, at least one.
        """
        ends = [np.arange(len(episode)) == len(episode) - 1 for episode in episodes]
        return Demonstrations(
            environment=environment,
            observations=np.concatenate([episode.observations for episode in episodes]).astype(np.float32),
            actions=np.concatenate([episode.actions for episode in episodes]).astype(np.float32),
            next_observations=np.concatenate([episode.next_observations for episode in episodes]).astype(np.float32),
            terminated=np.concatenate([end & episode.terminated for end, episode in zip(ends, episodes, strict=True)]),
            lengths=np.array([len(episode) for episode in episodes], dtype=np.int64),
            returns=np.array([episode.total for episode in episodes], dtype=np.float64),
        )

    def first(self, episodes: int) -> "Demonstrations":
        """Returns the demonstrations of the first `episodes` episodes.

        Raises:
            ValueError: if `episodes` is less than 1, or there are fewer episodes.
        """
        if not 1 <= episodes <= len(self.lengths):
            raise ValueError(
                f"number_of_demonstrations={episodes}: there are {len(self.lengths)} episodes of "
                f"{self.environment.id}; give 1 to {len(self.lengths)}, or leave it out to use all"
            )
        steps = int(self.lengths[:episodes].sum())
        return Demonstrations(
            environment=self.environment,
            observations=self.observations[:steps],
            actions=self.actions[:steps],
            next_observations=self.next_observations[:steps],
            terminated=self.terminated[:steps],
            lengths=self.lengths[:episodes],
            returns=self.returns[:episodes],
        )

    def transitions(self) -> Transitions:
        """Returns all steps in order, with zeros for the values that only a policy in training has."""
        zeros = torch.zeros(len(self))
        return Transitions(
            observations=torch.from_numpy(self.observations),
            actions=torch.from_numpy(self.actions),
            next_observations=torch.from_numpy(self.next_observations),
            terminated=torch.from_numpy(self.terminated).float(),
            log_probabilities=zeros,
            advantages=zeros,
            returns=zeros,
            values=zeros,
        )

    def save(self, path: Path) -> None:
        """Writes a compressed .npz file under a temporary name and renames it, so that it is never incomplete."""
        with written_whole(path) as stream:
            arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
            np.savez_compressed(stream, environment=np.array(json.dumps(self.environment.as_dict())), **arrays)

    def check_fits(self, environment: Environment, facts: EnvironmentFacts) -> None:
        """Checks that the demonstrations are from this environment; options and physics may be different.

        Args:
            environment: environment in which a policy is to be trained.
            facts: its sizes of observations and actions.

        Raises:
            ValueError: if the id or a size is different.
        """
        if self.environment.id != environment.id:
            raise ValueError(
                f"the demonstrations are of {self.environment.id} and the environment is {environment.id}; "
                f"give demonstrations of {environment.id}, or set the data's environment to {self.environment.id}"
            )
        sizes = self.observations.shape[1], self.actions.shape[1]
        if sizes != (facts.observation_size, facts.action_size):
            raise ValueError(
                f"the demonstrations have observations of size {sizes[0]} and actions of size {sizes[1]}, but "
                f"{environment.described} has {facts.observation_size} and {facts.action_size}; "
                "record them in the environment as it is now"
            )


def load_demonstrations(source: str) -> Demonstrations:
    """Loads demonstrations from a file, or those that come with the package by their name.

    Args:
        source: path of an .npz file that `Demonstrations.save` wrote, or "cartpole" or "pendulum".

    Raises:
        ValueError: if there is no such file, or it is not a file of demonstrations, is damaged, or holds a value that
            is not finite.
    """
    if source in EMBEDDED:
        with files("lightning_gan.imitation").joinpath(f"demonstrations_{source}.npz").open("rb") as stream:
            return _read(stream, source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(
            f"there are no demonstrations {source!r}: give the path of an .npz file that RecordDemonstrations wrote, "
            f"or one of {', '.join(EMBEDDED)}, which come with the package"
        )
    with path.open("rb") as stream:
        return _read(stream, source)


def _read(stream: Any, source: str) -> Demonstrations:
    try:
        with np.load(stream, allow_pickle=False) as arrays:
            found: dict[str, Any] = {name: arrays[name].astype(kind) for name, kind in ARRAYS.items()}
            environment = Environment(**json.loads(str(arrays["environment"])))
    except (BadZipFile, ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise ValueError(
            f"{source} holds no demonstrations: {error}; RecordDemonstrations writes such files"
        ) from error
    steps = {len(found[name]) for name in ("observations", "actions", "next_observations", "terminated")}
    if steps != {int(found["lengths"].sum())} or len(found["lengths"]) != len(found["returns"]) or steps == {0}:
        raise ValueError(
            f"{source} is damaged: it has arrays of {sorted(steps)} steps, lengths of {found['lengths'].sum()} "
            f"steps in {len(found['lengths'])} episodes, and {len(found['returns'])} returns; record it anew"
        )
    for name, values in found.items():
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(
                f"{source}: row {row} of {name} has the value {values[row][~np.isfinite(values[row])].flat[0]}; all "
                "values must be finite: record the demonstrations anew, or leave this episode out"
            )
    return Demonstrations(environment=environment, **found)


class ProvidesEnvironment(ABC):
    """Interface of data modules that have an environment, for callbacks."""

    @property
    @abstractmethod
    def environment(self) -> Environment:
        """The environment in which the policy acts."""

    @property
    @abstractmethod
    def demonstrations(self) -> Demonstrations | None:
        """The expert's demonstrations, or None if there are none."""
