"""Demonstrations: whole episodes of an expert in an environment, as a file and as single steps to learn from."""

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
"""Demonstrations that come with the package, by name, and their environments."""

ARRAYS: dict[str, type] = {
    "observations": np.float32,
    "actions": np.float32,
    "next_observations": np.float32,
    "terminated": np.bool_,
    "lengths": np.int64,
    "returns": np.float64,
}
"""What a file holds, beside "environment": its id, options and physics as JSON."""


@final
@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """Whole episodes, one behind the other; a row per step.

    Attributes:
        environment: where they were played.
        observations: before each step.
        actions: as the expert decided: numbers, or one-hot rows of discrete actions.
        next_observations: after each step; of the episode that ends there, not of the next one.
        terminated: the episode ended there in a terminal state.
        lengths: steps of each episode.
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
        """What was played, in single precision."""
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
        """Those of the first so many episodes.

        Raises:
            ValueError: if there are fewer, or none is asked for.
        """
        if not 1 <= episodes <= len(self.lengths):
            raise ValueError(
                f"number_of_demonstrations={episodes}: there are {len(self.lengths)} episodes of "
                f"{self.environment.id}; give 1 to {len(self.lengths)}, or leave it out for all"
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
        """All steps, in order, with zeros for what only a policy in training knows."""
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
        """Writes a compressed file, which is never half written."""
        with written_whole(path) as stream:
            arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
            np.savez_compressed(stream, environment=np.array(json.dumps(self.environment.as_dict())), **arrays)

    def check_fits(self, environment: Environment, facts: EnvironmentFacts) -> None:
        """Refuse those of another environment. Other options and physics are no obstacle.

        Raises:
            ValueError: naming the difference.
        """
        if self.environment.id != environment.id:
            raise ValueError(
                f"the demonstrations are of {self.environment.id} and the environment is {environment.id}; "
                "give demonstrations of the same"
            )
        sizes = self.observations.shape[1], self.actions.shape[1]
        if sizes != (facts.observation_size, facts.action_size):
            raise ValueError(
                f"the demonstrations have {sizes[0]} observed numbers and {sizes[1]} of actions, but "
                f"{environment.described} has {facts.observation_size} and {facts.action_size}; "
                "record them in the environment as it is now"
            )


def load_demonstrations(source: str) -> Demonstrations:
    """Those of a file, or those that come with the package by name.

    Args:
        source: path of an .npz that `Demonstrations.save` wrote, or "cartpole" or "pendulum".

    Raises:
        ValueError: if there is no such file, or it holds something else.
    """
    if source in EMBEDDED:
        with files("lightning_gan.imitation").joinpath(f"demonstrations_{source}.npz").open("rb") as stream:
            return _read(stream, source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(
            f"there are no demonstrations {source!r}: give the path of an .npz that RecordDemonstrations wrote, "
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
            f"{source} is damaged: it has {sorted(steps)} steps in {found['lengths'].sum()} of "
            f"{len(found['lengths'])} episodes, and {len(found['returns'])} returns; record it anew"
        )
    return Demonstrations(environment=environment, **found)


class ProvidesEnvironment(ABC):
    """Data that come from acting in an environment: what callbacks ask a data module for."""

    @property
    @abstractmethod
    def environment(self) -> Environment:
        """Where the policy acts."""

    @property
    @abstractmethod
    def demonstrations(self) -> Demonstrations | None:
        """What an expert did there; None for none."""
