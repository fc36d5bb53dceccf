"""Environments to act in: gymnasium's, several at once, also with changed physics; and whole episodes in them.

gymnasium is imported only here and only when an environment is made, so that everything else does without it.
Observations are flat numbers. Actions are flat numbers too, or one-hot rows of discrete ones.
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
"""What environments show, a row for each."""
Actions: TypeAlias = Float[ndarray, "environments action"]
"""What to do in them: numbers, clipped to the environment's bounds, or rows whose largest entry is the action."""
Decide: TypeAlias = Callable[[Observations], Actions]
"""A policy: any number of observations to as many actions."""


def gymnasium_module() -> Any:
    """gymnasium.

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
    """Which environment, and how it differs from what its name stands for.

    Args:
        id: gymnasium's name of it.
        options: arguments of its constructor, such as {"g": 12.0} for Pendulum-v1.
        physics: numbers to set on the environment once it is made, such as {"length": 1.0, "polemass_length": 0.1} for
            CartPole-v1. What its constructor has computed from others is not computed anew: give it too.
    """

    id: str = "CartPole-v1"
    options: dict[str, Any] = field(default_factory=dict)
    physics: dict[str, float] = field(default_factory=dict)

    def make(self) -> "Env[Any, Any]":
        """A new one.

        Raises:
            ValueError: if gymnasium does not know or cannot make it, if it has no such physics, and for observations or
                actions that are not flat.
        """
        gymnasium = gymnasium_module()
        try:
            # Without the checker, which warns of what is no matter here and costs time in every step.
            made: Env[Any, Any] = gymnasium.make(self.id, disable_env_checker=True, **self.options)
        except gymnasium.error.DependencyNotInstalled as error:
            raise ValueError(f"{self.id} needs more: pip install 'lightning-gan[mujoco]' ({error})") from error
        except (gymnasium.error.Error, TypeError, ImportError) as error:
            with_options = f" with the options {self.options}" if self.options else ""
            raise ValueError(f"gymnasium cannot make {self.id!r}{with_options}: {error}") from error
        self._change_physics(made.unwrapped)
        self._check_spaces(made)
        return made

    @property
    def described(self) -> str:
        """Its name, and how it differs.

        Example:
            >>> Environment(id="CartPole-v1", physics={"length": 1.0}).described
            'CartPole-v1 (length=1.0)'
        """
        changes = ", ".join(f"{name}={value}" for name, value in {**self.options, **self.physics}.items())
        return f"{self.id} ({changes})" if changes else self.id

    def as_dict(self) -> dict[str, Any]:
        """Its settings as plain data."""
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
            raise ValueError(f"{self.id} shows {observations}; policies here see one flat Box of numbers")
        if not (isinstance(actions, spaces.Discrete) or (isinstance(actions, spaces.Box) and len(actions.shape) == 1)):
            raise ValueError(f"{self.id} takes {actions}; policies here give one flat Box of numbers, or a Discrete")


@final
@dataclass(frozen=True, kw_only=True)
class EnvironmentFacts:
    """What a policy has to know of an environment.

    Attributes:
        observation_size: numbers that it sees.
        action_size: numbers that it gives, or how many discrete actions there are.
        discrete_actions: whether they are discrete.
    """

    observation_size: int
    action_size: int
    discrete_actions: bool


def facts_of(environment: Environment) -> EnvironmentFacts:
    """The facts, of an environment that is made for it."""
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
    """Actions as the environments take them: indices of discrete ones, or numbers within bounds."""
    spaces = gymnasium_module().spaces
    if isinstance(space, spaces.Discrete):
        return [int(space.start) + index for index in actions.argmax(axis=1).tolist()]
    return list(np.clip(actions, space.low, space.high).astype(space.dtype))  # type: ignore[attr-defined]


class Step(NamedTuple):
    """What a step did in each environment.

    Attributes:
        observations: to act on next; where an episode has ended, of the one that begins.
        next_observations: after the step; where an episode has ended, its last.
        rewards: the environment's own.
        terminated: an episode ended in a terminal state.
        truncated: an episode was cut off for its length; False where it terminated as well.
    """

    observations: Observations
    next_observations: Observations
    rewards: Float[ndarray, " environments"]
    terminated: Bool[ndarray, " environments"]
    truncated: Bool[ndarray, " environments"]


@final
class Environments:
    """Several environments of a kind, stepped one after the other. Where an episode ends, the next begins at once.

    Everything that happens is a function of the seeds that `reset` is given and of the actions.

    Args:
        environment: which.
        count: how many.

    Raises:
        ValueError: if there is none, or one cannot be made.
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
        """Begins an episode in every environment; a seed for each."""
        return _rows([made.reset(seed=seed)[0] for made, seed in zip(self._made, seeds, strict=True)])

    def step(self, actions: Actions) -> Step:
        """One step in each environment."""
        outcomes = [
            made.step(action) for made, action in zip(self._made, taken(self._action_space, actions), strict=True)
        ]
        shown, rewards, terminated, truncated, _ = zip(*outcomes, strict=True)
        next_observations, ends = _rows(shown), np.array(terminated, dtype=bool)
        cut = np.array(truncated, dtype=bool) & ~ends
        observations = next_observations
        if (ends | cut).any():
            observations = next_observations.copy()
            for number in np.flatnonzero(ends | cut):
                observations[number] = self._made[number].reset()[0]
        return Step(observations, next_observations, np.array(rewards, dtype=np.float64), ends, cut)

    def close(self) -> None:
        """Let go of what they hold."""
        for made in self._made:
            made.close()


def _rows(observations: Sequence[Shaped[ndarray, " observation"]]) -> Observations:
    """One array, in double precision: MuJoCo's observations have it."""
    return np.stack(observations).astype(np.float64)


@final
@dataclass(frozen=True, kw_only=True)
class Episode:
    """One whole episode; a row per step.

    Attributes:
        observations: before each step.
        actions: as they were decided, not clipped.
        next_observations: after each step.
        rewards: the environment's own.
        terminated: whether it ended in a terminal state, and not for its length.
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


class _Playing:
    """An episode that is being played."""

    def __init__(self, made: "Env[Any, Any]", *, number: int, seed: int) -> None:
        self.made = made
        self.number = number
        self.observation: Any = made.reset(seed=derived_seed(seed, "episode", number))[0]
        self.terminated = self.ended = False
        self._steps: list[tuple[Any, Any, Any, float]] = []

    def step(self, decided: Any, action: Any) -> None:
        """One step: what was decided, and the same as the environment takes it."""
        shown, reward, terminated, truncated, _ = self.made.step(action)
        self._steps.append((self.observation, decided, shown, float(reward)))
        self.observation, self.terminated, self.ended = shown, bool(terminated), bool(terminated or truncated)

    def episode(self) -> Episode:
        """What was played."""
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
    """Whole episodes of a policy, by their numbers.

    How an episode begins is a function of `seed` and of its number alone: not of how many others are played, or
    with whom. So is the whole episode if the policy decides by observations alone.

    Args:
        environment: where to play.
        decide: the policy. As episodes end it is shown fewer observations.
        numbers: of the episodes: 0, 1, ...
        seed: of their beginnings, and of what the environment itself draws.
        at_once: so many environments are stepped side by side.

    Raises:
        ValueError: if the environment cannot be made.
    """
    waiting = iter(numbers)
    playing = [
        _Playing(environment.make(), number=number, seed=seed)
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


def _next(ended: _Playing, waiting: Iterator[int], seed: int) -> list[_Playing]:
    """The next episode in the environment of one that has ended, if any is left."""
    for number in waiting:
        return [_Playing(ended.made, number=number, seed=seed)]
    ended.made.close()
    return []


def random_policy(environment: Environment, *, seed: int) -> Decide:
    """A policy that draws from the environment's action space, whatever it sees."""
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
