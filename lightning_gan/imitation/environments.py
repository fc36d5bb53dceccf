"""gymnasium's environments: several side by side, with changed physics, and whole episodes in them.

gymnasium is imported only in this file, when an environment is made; the rest of the package works without it.
Observations are vectors. Actions are vectors, too, or one-hot rows of discrete actions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, final

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray

from lightning_gan.tensors.seeds import derived_seed

if TYPE_CHECKING:
    from gymnasium import Env, Space

Observations: TypeAlias = Float[ndarray, "environments observation"]
"""Observations of several environments, a row for each."""
Actions: TypeAlias = Float[ndarray, "environments action"]
"""A row for each environment: continuous actions, which are clipped to its bounds, or scores of discrete actions, of
which the action with the largest score is taken."""
Decide: TypeAlias = Callable[[Observations], Actions]
"""A policy: it maps any number of observations to as many actions."""


def gymnasium_module() -> Any:
    """Returns the module gymnasium.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise ValueError(
            "environments need gymnasium: pip install 'lightning-gan[imitation]' "
            "(or 'lightning-gan[mujoco]' for those of MuJoCo too)"
        ) from error
    return gymnasium


@final
@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment's id and its changes.

    Args:
        id: gymnasium's id of the environment.
        options: keyword arguments of its constructor, such as {"g": 12.0} for Pendulum-v1.
        physics: numerical attributes to set on the environment once it is made, such as
            {"length": 1.0, "polemass_length": 0.1} for CartPole-v1. Attributes that its constructor derives from others
            are not computed again and must be given, too.
    """

    id: str = "CartPole-v1"
    options: dict[str, Any] = field(default_factory=dict)
    physics: dict[str, float] = field(default_factory=dict)

    def make(self) -> "Env[Any, Any]":
        """Makes a new environment.

        Raises:
            ValueError: if gymnasium does not know or cannot make it, if it has no such numerical attribute, or if its
                observations or actions are not vectors (or discrete actions).
        """
        gymnasium = gymnasium_module()
        try:
            # The checker costs time in every step, and its warnings do not matter here.
            made: Env[Any, Any] = gymnasium.make(self.id, disable_env_checker=True, **self.options)
        except gymnasium.error.DependencyNotInstalled as error:
            raise ValueError(f"{self.id} needs more: pip install 'lightning-gan[mujoco]' ({error})") from error
        except (gymnasium.error.Error, TypeError, ImportError) as error:
            with_options = f" with the options {self.options}" if self.options else ""
            raise ValueError(
                f"gymnasium cannot make {self.id!r}{with_options}: {error}; give an id of gymnasium and options that "
                "its constructor has"
            ) from error
        self._change_physics(made.unwrapped)
        self._check_spaces(made)
        return made

    @property
    def described(self) -> str:
        """The id, with the changes in brackets.

        Example:
            >>> Environment(id="CartPole-v1", physics={"length": 1.0}).described
            'CartPole-v1 (length=1.0)'
        """
        changes = ", ".join(f"{name}={value}" for name, value in {**self.options, **self.physics}.items())
        return f"{self.id} ({changes})" if changes else self.id

    def as_dict(self) -> dict[str, Any]:
        """Returns the settings as a dictionary of plain data."""
        return asdict(self)

    def _change_physics(self, unwrapped: Any) -> None:
        numbers = {
            name: value
            for name, value in vars(unwrapped).items()
            if not name.startswith("_") and isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, value in self.physics.items():
            if name not in numbers:
                raise ValueError(f"{self.id} has no number {name!r} to set as physics; it has {', '.join(numbers)}")
            is_count = isinstance(numbers[name], int) and float(value).is_integer()
            setattr(unwrapped, name, int(value) if is_count else value)

    def _check_spaces(self, made: "Env[Any, Any]") -> None:
        spaces = gymnasium_module().spaces
        observations, actions = made.observation_space, made.action_space
        if not (isinstance(observations, spaces.Box) and len(observations.shape) == 1):
            raise ValueError(
                f"{self.id} has the observation space {observations}; give an environment with a one-dimensional Box"
            )
        if not (isinstance(actions, spaces.Discrete) or (isinstance(actions, spaces.Box) and len(actions.shape) == 1)):
            raise ValueError(
                f"{self.id} has the action space {actions}; give an environment with a one-dimensional Box or Discrete"
            )


@final
@dataclass(frozen=True, kw_only=True)
class EnvironmentFacts:
    """The sizes of an environment's observations and actions.

    Attributes:
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        discrete_actions: whether actions are discrete.
    """

    observation_size: int
    action_size: int
    discrete_actions: bool


def facts_of(environment: Environment) -> EnvironmentFacts:
    """Makes an environment, reads the sizes of its observations and actions, and closes it."""
    made = environment.make()
    facts = _facts(made)
    made.close()
    return facts


def _facts(made: "Env[Any, Any]") -> EnvironmentFacts:
    discrete = isinstance(made.action_space, gymnasium_module().spaces.Discrete)
    assert made.observation_space.shape is not None and made.action_space.shape is not None
    return EnvironmentFacts(
        observation_size=made.observation_space.shape[0],
        action_size=int(made.action_space.n) if discrete else made.action_space.shape[0],  # type: ignore[attr-defined]
        discrete_actions=discrete,
    )


def taken(space: "Space[Any]", actions: Actions) -> list[Any]:
    """Returns actions as gymnasium takes them: indices of discrete actions, or continuous actions clipped to bounds.

    Args:
        space: action space of the environment.
        actions: a row for each environment.
    """
    spaces = gymnasium_module().spaces
    if isinstance(space, spaces.Discrete):
        return [int(space.start) + index for index in actions.argmax(axis=1).tolist()]
    return list(np.clip(actions, space.low, space.high).astype(space.dtype))  # type: ignore[attr-defined]


class Step(NamedTuple):
    """The result of one step in each environment.

    Attributes:
        observations: observation for the next action; where an episode has ended, the first one of the next episode.
        next_observations: observation after the step; where an episode has ended, its last one.
        rewards: the environment's own reward.
        terminated: whether the episode ended in a terminal state.
        truncated: whether the episode was cut off for its length; False where it also ended in a terminal state.
    """

    observations: Observations
    next_observations: Observations
    rewards: Float[ndarray, " environments"]
    terminated: Bool[ndarray, " environments"]
    truncated: Bool[ndarray, " environments"]


@final
class Environments:
    """Several equal environments, stepped one after the other. When an episode ends, the next one begins at once.

    All results are a function of the seeds given to `reset` and of the actions.

    Args:
        environment: environment to make.
        count: number of environments, at least 1.

    Raises:
        ValueError: if `count` is less than 1, or the environment cannot be made.
    """

    def __init__(self, environment: Environment, *, count: int) -> None:
        if count < 1:
            raise ValueError(f"{count} environments: at least 1 is needed")
        self._made = [environment.make() for _ in range(count)]
        self._action_space = self._made[0].action_space
        self.facts = _facts(self._made[0])

    def __len__(self) -> int:
        return len(self._made)

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Begins an episode in every environment, and returns the first observations.

        Args:
            seeds: a seed for each environment.
        """
        observations = _rows([made.reset(seed=seed)[0] for made, seed in zip(self._made, seeds, strict=True)])
        check_finite(observations, "a first observation")
        return observations

    def step(self, actions: Actions) -> Step:
        """Takes one step in each environment."""
        outcomes = [
            made.step(action) for made, action in zip(self._made, taken(self._action_space, actions), strict=True)
        ]
        shown, rewards, terminated, truncated, _ = zip(*outcomes, strict=True)
        next_observations, ends = _rows(shown), np.array(terminated, dtype=bool)
        check_finite(next_observations, "an observation")
        check_finite(np.array(rewards, dtype=np.float64), "a reward")
        cut = np.array(truncated, dtype=bool) & ~ends
        observations = next_observations
        if (ends | cut).any():
            observations = next_observations.copy()
            for number in np.flatnonzero(ends | cut):
                observations[number] = self._made[number].reset()[0]
        return Step(observations, next_observations, np.array(rewards, dtype=np.float64), ends, cut)

    def close(self) -> None:
        """Closes the environments."""
        for made in self._made:
            made.close()


def check_finite(values: ndarray, what: str) -> None:
    """Check what environments have returned.

    Args:
        values: array with a row for each environment.
        what: name of the values, for the error message.

    Raises:
        ValueError: if a value is not finite.
    """
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise ValueError(
            f"environment {row} has returned {what} of {values[~finite][0]}; look at its physics, its options and the "
            "bounds of its actions, because training cannot use values that are not finite"
        )


def _rows(observations: Sequence[Shaped[ndarray, " observation"]]) -> Observations:
    """Returns one array in double precision, because MuJoCo's observations have double precision."""
    return np.stack(observations).astype(np.float64)


@final
@dataclass(frozen=True, kw_only=True)
class Episode:
    """One whole episode, with a row for each step.

    Attributes:
        observations: observation before each step.
        actions: action that the policy chose in each step, not clipped.
        next_observations: observation after each step.
        rewards: the environment's own reward of each step.
        terminated: whether the episode ended in a terminal state; if not, it was cut off for its length.
    """

    observations: Float[ndarray, "steps observation"]
    actions: Float[ndarray, "steps action"]
    next_observations: Float[ndarray, "steps observation"]
    rewards: Float[ndarray, " steps"]
    terminated: bool

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def total(self) -> float:
        """The episode's return: the undiscounted sum of its rewards."""
        return float(self.rewards.sum())


class _RunningEpisode:
    """An episode that is being played."""

    def __init__(self, made: "Env[Any, Any]", *, number: int, seed: int) -> None:
        self.made = made
        self.number = number
        self.observation: Any = made.reset(seed=derived_seed(seed, "episode", number))[0]
        self.terminated = self.ended = False
        self._steps: list[tuple[Any, Any, Any, float]] = []

    def step(self, decided: Any, action: Any) -> None:
        """Takes one step.

        Args:
            decided: action as the policy chose it.
            action: the same action as the environment takes it.
        """
        shown, reward, terminated, truncated, _ = self.made.step(action)
        check_finite(np.atleast_2d(shown), "an observation")
        check_finite(np.array([reward], dtype=np.float64), "a reward")
        self._steps.append((self.observation, decided, shown, float(reward)))
        self.observation, self.terminated, self.ended = shown, bool(terminated), bool(terminated or truncated)

    def episode(self) -> Episode:
        """Returns the steps so far as an episode."""
        observations, actions, next_observations, rewards = zip(*self._steps, strict=True)
        return Episode(
            observations=_rows(observations),
            actions=_rows(actions),
            next_observations=_rows(next_observations),
            rewards=np.array(rewards, dtype=np.float64),
            terminated=self.terminated,
        )


def play(
    environment: Environment, decide: Decide, *, numbers: Iterable[int], seed: int, at_once: int = 16
) -> dict[int, Episode]:
    """Plays whole episodes with a policy, and returns them by their numbers.

    The initial state of an episode is a function of `seed` and of the episode's number; it does not depend on the other
    episodes. The same holds for the whole episode if the policy's actions depend on observations alone.

    Args:
        environment: environment to play in.
        decide: the policy; it gets fewer observations at a time as episodes end.
        numbers: numbers of the episodes to play, such as 0, 1, ...
        seed: seed of the initial states and of the environment's own random numbers.
        at_once: number of environments that are stepped side by side.

    Raises:
        ValueError: if the environment cannot be made.
    """
    waiting = iter(numbers)
    playing = [
        _RunningEpisode(environment.make(), number=number, seed=seed)
        for _, number in zip(range(at_once), waiting, strict=False)
    ]
    played: dict[int, Episode] = {}
    while playing:
        decided = decide(_rows([one.observation for one in playing]))
        actions = taken(playing[0].made.action_space, decided)
        for one, row, action in zip(playing, decided, actions, strict=True):
            one.step(row, action)
        played |= {one.number: one.episode() for one in playing if one.ended}
        playing = [
            one for before in playing for one in ([before] if not before.ended else _next(before, waiting, seed))
        ]
    return dict(sorted(played.items()))


def _next(ended: _RunningEpisode, waiting: Iterator[int], seed: int) -> list[_RunningEpisode]:
    """Begins the next episode in the environment of one that has ended; if none is left, closes the environment."""
    for number in waiting:
        return [_RunningEpisode(ended.made, number=number, seed=seed)]
    ended.made.close()
    return []


def random_policy(environment: Environment, *, seed: int) -> Decide:
    """Returns a policy that draws from the environment's action space, independently of the observations.

    Args:
        environment: environment whose action space is used.
        seed: seed of the actions.
    """
    made = environment.make()
    space, facts = made.action_space, _facts(made)
    made.close()
    space.seed(derived_seed(seed, "random policy"))

    def decide(observations: Observations) -> Actions:
        drawn = [space.sample() for _ in observations]
        if not facts.discrete_actions:
            return np.stack(drawn).astype(np.float64)
        return np.eye(facts.action_size)[np.array(drawn) - int(space.start)]  # type: ignore[attr-defined]

    return decide
