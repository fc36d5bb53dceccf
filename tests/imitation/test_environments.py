"""Environments: what a step says where episodes end, changed physics, seeds, and whole episodes."""

import sys
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from lightning_gan.imitation.environments import (
    Environment,
    EnvironmentFacts,
    Environments,
    Observations,
    facts_of,
    play,
    random_policy,
)
from lightning_gan.tensors.seeds import derived_seed

CARTPOLE = Environment(id="CartPole-v1")
SHORT = Environment(id="CartPole-v1", options={"max_episode_steps": 7})
PENDULUM = Environment(id="Pendulum-v1")
RIGHT = np.array([[0.0, 1.0]])


class Countdown(gymnasium.Env[Any, Any]):
    """Shows how many steps were taken; after three it says that it ends for both reasons. Remembers what it was told.

    Spaces are arguments, to try some that are refused.
    """

    def __init__(self, observations: Any = None, actions: Any = None) -> None:
        self.observation_space = observations or Box(0.0, 10.0, (1,))
        self.action_space = actions or Discrete(3, start=-1)
        self.told: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.told.append(action)
        self.steps += 1
        return np.full(1, self.steps, np.float32), 1.0, self.steps == 3, self.steps == 3, {}


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    gymnasium.register("Countdown-v0", entry_point=Countdown)
    yield
    del gymnasium.registry["Countdown-v0"]


def swing(observations: Observations) -> Any:
    """A policy for Pendulum: pushes along with the speed."""
    return np.sign(observations[:, 2:])


def lean(observations: Observations) -> Any:
    """A policy for CartPole: pushes to where the pole leans."""
    return np.eye(2)[(observations[:, 2] > 0).astype(int)]


# ---------------------------------------------------------------------- facts


@pytest.mark.parametrize(
    ("name", "observation_size", "action_size", "discrete"),
    [("CartPole-v1", 4, 2, True), ("Pendulum-v1", 3, 1, False), ("Acrobot-v1", 6, 3, True)],
)
def test_a_policy_learns_what_it_has_to_know(
    name: str, observation_size: int, action_size: int, discrete: bool
) -> None:
    assert facts_of(Environment(id=name)) == EnvironmentFacts(
        observation_size=observation_size, action_size=action_size, discrete_actions=discrete
    )


# ---------------------------------------------------------------------- steps


def test_a_step_is_gymnasiums_own_until_an_episode_ends() -> None:
    """Always to the right the pole falls; at the end there is its last observation, and the next episode's first."""
    environments = Environments(CARTPOLE, count=1)
    by_hand = gymnasium.make("CartPole-v1")
    observations = environments.reset([5])
    assert np.array_equal(observations[0], by_hand.reset(seed=5)[0])
    ended = False
    for _ in range(25):
        shown, reward, ends, cut, _ = by_hand.step(1)
        step = environments.step(RIGHT)
        assert np.array_equal(step.next_observations[0], shown)
        assert (step.rewards[0], step.terminated[0], step.truncated[0]) == (reward, ends, cut)
        if ends:
            ended = True
            shown = by_hand.reset()[0]
            assert not np.array_equal(step.observations, step.next_observations)
        assert np.array_equal(step.observations[0], shown)
    assert ended


def test_an_episode_that_is_too_long_is_truncated_and_not_terminated() -> None:
    environments = Environments(SHORT, count=2)
    observations = environments.reset([0, 1])
    for number in range(1, 15):
        step = environments.step(lean(observations))
        observations = step.observations
        assert not step.terminated.any()
        assert step.truncated.tolist() == [number % 7 == 0] * 2


def test_an_end_for_both_reasons_is_a_terminal_state() -> None:
    environments = Environments(Environment(id="Countdown-v0"), count=1)
    environments.reset([0])
    steps = [environments.step(np.eye(3)[:1]) for _ in range(4)]
    assert [step.terminated[0] for step in steps] == [False, False, True, False]
    assert not any(step.truncated[0] for step in steps)
    assert [step.next_observations[0, 0] for step in steps] == [1.0, 2.0, 3.0, 1.0]
    assert [step.observations[0, 0] for step in steps] == [1.0, 2.0, 0.0, 1.0]


def test_one_environment_ends_and_the_other_goes_on() -> None:
    environments = Environments(CARTPOLE, count=2)
    observations = environments.reset([5, 5])
    for _ in range(12):
        # The first always to the right, the second to where its pole leans.
        step = environments.step(np.concatenate([RIGHT, lean(observations[1:])]))
        if step.terminated[0]:
            break
        observations = step.observations
    assert step.terminated.tolist() == [True, False]
    assert np.array_equal(step.observations[1], step.next_observations[1])
    assert np.abs(step.observations[0]).max() <= 0.05  # where CartPole begins


def test_discrete_actions_are_the_largest_entries_from_where_they_start() -> None:
    environments = Environments(Environment(id="Countdown-v0"), count=3)
    environments.reset([0, 1, 2])
    environments.step(np.array([[9.0, 0.0, 1.0], [0.1, 0.7, 0.2], [-3.0, -2.0, -1.0]]))
    assert [made.unwrapped.told for made in environments._made] == [[-1], [0], [1]]  # type: ignore[attr-defined]


def test_continuous_actions_are_clipped_to_their_bounds() -> None:
    bounds = Box(np.array([-2.0, 0.0]), np.array([2.0, 1.0]), dtype=np.float64)
    environments = Environments(Environment(id="Countdown-v0", options={"actions": bounds}), count=3)
    environments.reset([0, 1, 2])
    environments.step(np.array([[100.0, -100.0], [-2.5, 0.25], [1.5, 1.5]]))
    told = [made.unwrapped.told[0].tolist() for made in environments._made]  # type: ignore[attr-defined]
    assert told == [[2.0, 0.0], [-2.0, 0.25], [1.5, 1.0]]


# ---------------------------------------------------------------------- seeds


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "Hopper-v5"])
def test_what_happens_is_a_function_of_seeds_and_actions(name: str) -> None:
    """In environments that were used before as in new ones, also beyond the end of an episode."""
    if name == "Hopper-v5":
        pytest.importorskip("mujoco")
    environment = Environment(id=name, options={"max_episode_steps": 30})
    actions = np.random.default_rng(0).normal(size=(70, 2, facts_of(environment).action_size))

    def history(environments: Environments) -> list[Any]:
        first = environments.reset([11, 12])
        return [first, *(part for action in actions for part in environments.step(action))]

    used = Environments(environment, count=2)
    once, again, anew = history(used), history(used), history(Environments(environment, count=2))
    assert any(part.any() for part in [*once[4::5], *once[5::5]])  # episodes end in between
    for a, b, c in zip(once, again, anew, strict=True):
        assert np.array_equal(a, b) and np.array_equal(a, c)


def test_every_environment_has_a_seed_of_its_own() -> None:
    environments = Environments(CARTPOLE, count=3)
    first, second, third = environments.reset([0, 1, 0])
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)


def test_there_is_a_seed_for_every_environment() -> None:
    with pytest.raises(ValueError):
        Environments(CARTPOLE, count=2).reset([0])


# ---------------------------------------------------------------------- options and physics


def test_options_reach_the_constructor() -> None:
    """Pendulum's acceleration is 3 g / (2 l) sin(angle): with g = 0 a pendulum without a push keeps its speed."""
    environments = Environments(Environment(id="Pendulum-v1", options={"g": 0.0}), count=1)
    speed = environments.reset([0])[0, 2]
    assert environments.step(np.zeros((1, 1))).next_observations[0, 2] == speed
    environments = Environments(PENDULUM, count=1)
    _, sine, speed = environments.reset([0])[0]
    expected = speed + 3 * 10.0 / 2 * sine * 0.05
    assert environments.step(np.zeros((1, 1))).next_observations[0, 2] == pytest.approx(expected, abs=1e-6)


def test_physics_are_set_on_the_environment() -> None:
    """CartPole's speed changes by tau times the acceleration, computed by hand with the changed numbers."""
    environment = Environment(id="CartPole-v1", physics={"length": 1.0, "polemass_length": 0.1, "force_mag": 5.0})
    environments = Environments(environment, count=1)
    _, speed, angle, turning = environments.reset([4])[0]
    temporary = (5.0 + 0.1 * turning**2 * np.sin(angle)) / 1.1
    turn = (9.8 * np.sin(angle) - np.cos(angle) * temporary) / (1.0 * (4 / 3 - 0.1 * np.cos(angle) ** 2 / 1.1))
    after = environments.step(RIGHT).next_observations[0]
    assert after[3] == pytest.approx(turning + 0.02 * turn, abs=1e-6)
    assert after[1] == pytest.approx(speed + 0.02 * (temporary - 0.1 * turn * np.cos(angle) / 1.1), abs=1e-6)


def test_counts_stay_counts() -> None:
    made = Environment(id="CartPole-v1", physics={"screen_width": 300.0, "gravity": 5}).make().unwrapped
    assert made.screen_width == 300 and isinstance(made.screen_width, int)  # type: ignore[attr-defined]
    assert made.gravity == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["lenght", "kinematics_integrator", "isopen", "_np_random_seed"])
def test_physics_that_are_no_number_of_the_environment_are_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=rf"CartPole-v1 has no number '{name}' .*it has gravity, masscart, masspole"):
        Environment(id="CartPole-v1", physics={name: 1.0}).make()


def test_an_environment_says_how_it_differs() -> None:
    changed = Environment(id="Pendulum-v1", options={"g": 12.0}, physics={"m": 2.0})
    assert changed.described == "Pendulum-v1 (g=12.0, m=2.0)"
    assert Environment(**changed.as_dict()) == changed
    assert CARTPOLE.described == "CartPole-v1"


# ---------------------------------------------------------------------- refusals


def test_without_gymnasium_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-gan\[imitation\]'"):
        CARTPOLE.make()


def test_unknown_environments_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="gymnasium cannot make 'CartPoll-v1'"):
        Environment(id="CartPoll-v1").make()
    with pytest.raises(ValueError, match=r"with the options \{'gravity': 1.0\}"):
        Environment(id="CartPole-v1", options={"gravity": 1.0}).make()
    with pytest.raises(ValueError, match="0 environments: at least 1"):
        Environments(CARTPOLE, count=0)


@pytest.mark.parametrize("observations", [Discrete(4), Box(0, 255, (8, 8, 3), np.uint8)], ids=["discrete", "image"])
def test_observations_that_are_not_flat_numbers_are_refused(observations: Any) -> None:
    with pytest.raises(
        ValueError, match=r"Countdown-v0 has the observation space .* give .* with a one-dimensional Box"
    ):
        Environment(id="Countdown-v0", options={"observations": observations}).make()


@pytest.mark.parametrize("actions", [MultiDiscrete([2, 3]), Box(0, 1, (2, 2))], ids=["several", "matrix"])
def test_actions_that_are_neither_flat_numbers_nor_discrete_are_refused(actions: Any) -> None:
    with pytest.raises(
        ValueError, match=r"Countdown-v0 has the action space .* give .* with a one-dimensional Box or Discrete"
    ):
        Environment(id="Countdown-v0", options={"actions": actions}).make()


# ---------------------------------------------------------------------- whole episodes


def test_an_episode_is_what_the_same_policy_does_by_hand() -> None:
    played = play(CARTPOLE, lean, numbers=[3], seed=9)
    by_hand = gymnasium.make("CartPole-v1")
    observation, _ = by_hand.reset(seed=derived_seed(9, "episode", 3))
    shown, total, ends = [observation], 0.0, False
    while not ends:
        observation, reward, ends, _, _ = by_hand.step(int(observation[2] > 0))
        shown.append(observation)
        total += float(reward)
    episode = played[3]
    assert np.array_equal(episode.observations, np.stack(shown[:-1]))
    assert np.array_equal(episode.next_observations, np.stack(shown[1:]))
    assert np.array_equal(episode.actions.argmax(1), (episode.observations[:, 2] > 0).astype(int))
    assert episode.total == total == len(episode)
    assert episode.terminated


@pytest.mark.parametrize(("environment", "policy"), [(CARTPOLE, lean), (PENDULUM, swing)])
def test_how_many_are_played_side_by_side_is_no_matter(environment: Environment, policy: Any) -> None:
    """Nor which others are played, so that ranks can share them."""
    whole = play(environment, policy, numbers=range(6), seed=1, at_once=1)
    assert list(whole) == [0, 1, 2, 3, 4, 5]
    beside = play(environment, policy, numbers=range(6), seed=1, at_once=4)
    shares = play(environment, policy, numbers=[4, 0, 2], seed=1) | play(environment, policy, numbers=[1, 3, 5], seed=1)
    for number, episode in whole.items():
        assert np.array_equal(beside[number].observations, episode.observations)
        assert shares[number].total == episode.total
    assert len({episode.total for episode in whole.values()}) > 1


def test_an_episode_that_is_cut_for_its_length_has_not_terminated() -> None:
    episode = play(SHORT, lean, numbers=[0], seed=0)[0]
    assert len(episode) == 7 and not episode.terminated


def test_no_episodes_are_no_episodes() -> None:
    assert play(CARTPOLE, lean, numbers=[], seed=0) == {}


def test_the_random_policy_is_uniform_and_seeded() -> None:
    blind = np.zeros((4000, 3))
    pushes = random_policy(PENDULUM, seed=0)(blind)
    assert pushes.shape == (4000, 1) and np.abs(pushes).max() <= 2.0
    # Uniform in [-2, 2]: mean 0, variance 4/3; four standard errors.
    assert abs(pushes.mean()) < 4 * np.sqrt(4 / 3 / 4000)
    assert pushes.var() == pytest.approx(4 / 3, abs=0.08)
    assert np.array_equal(random_policy(PENDULUM, seed=0)(blind), pushes)
    assert not np.array_equal(random_policy(PENDULUM, seed=1)(blind), pushes)
    choices = random_policy(CARTPOLE, seed=0)(blind)
    assert np.array_equal(choices.sum(1), np.ones(4000)) and set(np.unique(choices)) == {0.0, 1.0}
    assert choices.mean(0)[0] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))


def test_the_random_policy_knows_where_discrete_actions_start() -> None:
    choices = random_policy(Environment(id="Countdown-v0"), seed=0)(np.zeros((300, 1)))
    assert choices.shape == (300, 3) and (choices.sum(0) > 50).all()


@pytest.mark.parametrize(("shown", "reward", "what"), [(np.nan, 1.0, "an observation"), (0.0, -np.inf, "a reward")])
def test_values_that_are_not_finite_are_refused_with_the_environment(
    monkeypatch: pytest.MonkeyPatch, shown: float, reward: float, what: str
) -> None:
    value = reward if what == "a reward" else shown
    message = rf"environment \d has returned {what} of {value}; look at its physics"
    step = (np.full(1, shown, np.float32), reward, False, False, {})
    monkeypatch.setattr(Countdown, "step", lambda self, action: step)
    environment = Environment(id="Countdown-v0")
    environments = Environments(environment, count=2)
    environments.reset([1, 2])
    with pytest.raises(ValueError, match=message):
        environments.step(np.eye(3)[:2])
    with pytest.raises(ValueError, match=message):
        play(environment, lambda seen: np.eye(3)[: len(seen)], numbers=[0], seed=0)
