"""Demonstrations: what is in them, through a file and back, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_gan.imitation import Rollouts
from lightning_gan.imitation.demonstrations import ARRAYS, Demonstrations, load_demonstrations
from lightning_gan.imitation.environments import Environment, EnvironmentFacts, facts_of, play
from tests.imitation.imitation_toys import lean, toy_demonstrations


@pytest.fixture
def demonstrations(tmp_path: Path) -> Demonstrations:
    return toy_demonstrations(tmp_path / "expert.npz")


def assert_same(first: Demonstrations, second: Demonstrations) -> None:
    assert first.environment == second.environment
    for name, kind in ARRAYS.items():
        one, two = getattr(first, name), getattr(second, name)
        assert one.dtype == two.dtype == kind
        assert np.array_equal(one, two)


def test_episodes_stand_one_behind_the_other() -> None:
    """Always to the right the pole falls soon: every episode terminates, in its last step alone."""
    environment = Environment(id="CartPole-v1")
    episodes = play(environment, lambda seen: np.tile([[0.0, 1.0]], (len(seen), 1)), numbers=range(4), seed=0)
    demonstrations = Demonstrations.of_episodes(environment, list(episodes.values()))
    start = 0
    for number, length in enumerate(demonstrations.lengths):
        rows = slice(start, start + length)
        assert np.array_equal(demonstrations.observations[rows], episodes[number].observations.astype(np.float32))
        assert np.array_equal(demonstrations.next_observations[rows][:-1], demonstrations.observations[rows][1:])
        assert demonstrations.terminated[rows].tolist() == [False] * (length - 1) + [True]
        assert demonstrations.returns[number] == length
        start += length
    assert start == len(demonstrations) == len(demonstrations.actions)


def test_an_episode_that_was_too_long_terminates_nowhere(demonstrations: Demonstrations) -> None:
    """`lean` keeps the pole up for all of the 40 steps."""
    assert demonstrations.lengths.tolist() == [40, 40, 40]
    assert not demonstrations.terminated.any()


def test_a_file_gives_back_what_was_saved(tmp_path: Path, demonstrations: Demonstrations) -> None:
    assert_same(load_demonstrations(str(tmp_path / "expert.npz")), demonstrations)
    changed = toy_demonstrations(tmp_path / "deep" / "er" / "long.npz", physics={"length": 1.0})
    assert_same(load_demonstrations(str(tmp_path / "deep" / "er" / "long.npz")), changed)
    assert changed.environment.physics == {"length": 1.0}


def test_a_file_is_never_half_written(tmp_path: Path, demonstrations: Demonstrations, monkeypatch: Any) -> None:
    before = (tmp_path / "expert.npz").read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        demonstrations.save(tmp_path / "expert.npz")
    assert (tmp_path / "expert.npz").read_bytes() == before


def test_steps_are_transitions_with_zeros_for_what_only_a_policy_knows(demonstrations: Demonstrations) -> None:
    transitions = demonstrations.transitions()
    assert torch.equal(transitions.observations, torch.from_numpy(demonstrations.observations))
    assert torch.equal(transitions.actions, torch.from_numpy(demonstrations.actions))
    assert torch.equal(transitions.next_observations, torch.from_numpy(demonstrations.next_observations))
    for name in ("log_probabilities", "advantages", "returns", "values"):
        assert getattr(transitions, name).eq(0).all()
    assert transitions.packed().shape == (120, 15)


def test_the_first_episodes_are_whole(demonstrations: Demonstrations) -> None:
    first = demonstrations.first(2)
    assert first.lengths.tolist() == [40, 40] and len(first) == 80
    assert np.array_equal(first.observations, demonstrations.observations[:80])
    assert_same(demonstrations.first(3), demonstrations)


@pytest.mark.parametrize("episodes", [0, 4])
def test_more_demonstrations_than_there_are_are_refused(demonstrations: Demonstrations, episodes: int) -> None:
    with pytest.raises(ValueError, match=rf"number_of_demonstrations={episodes}: there are 3 episodes .* give 1 to 3"):
        demonstrations.first(episodes)


def test_those_of_another_environment_are_refused(tmp_path: Path, demonstrations: Demonstrations) -> None:
    with pytest.raises(ValueError, match="the demonstrations are of CartPole-v1 and the environment is Pendulum-v1"):
        Rollouts(environment="Pendulum-v1", demonstrations=str(tmp_path / "expert.npz"))


def test_those_of_other_sizes_are_refused(demonstrations: Demonstrations) -> None:
    wider = EnvironmentFacts(observation_size=5, action_size=2, discrete_actions=True)
    with pytest.raises(ValueError, match="observations of size 4 and actions of size 2, but CartPole-v1 has 5 and 2"):
        demonstrations.check_fits(Environment(id="CartPole-v1"), wider)


def test_those_in_other_physics_fit(demonstrations: Demonstrations) -> None:
    changed = Environment(id="CartPole-v1", physics={"length": 1.0})
    demonstrations.check_fits(changed, facts_of(changed))


def test_a_missing_file_is_told_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no demonstrations 'cartpol': .*RecordDemonstrations.* cartpole, pendulum"):
        load_demonstrations("cartpol")


def test_another_file_is_told(tmp_path: Path, demonstrations: Demonstrations) -> None:
    text, images = tmp_path / "text.npz", tmp_path / "images.npz"
    text.write_text("hello")
    np.savez(images, images=np.zeros(3))
    for path in (text, images):
        with pytest.raises(ValueError, match=f"{path.name} holds no demonstrations"):
            load_demonstrations(str(path))
    half = tmp_path / "half.npz"
    half.write_bytes((tmp_path / "expert.npz").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"half.npz holds no demonstrations"):
        load_demonstrations(str(half))


@pytest.mark.parametrize("missing", ["observations", "lengths", "returns"])
def test_a_file_whose_arrays_do_not_fit_together_is_told(
    tmp_path: Path, demonstrations: Demonstrations, missing: str
) -> None:
    arrays = {name: getattr(demonstrations, name) for name in ARRAYS}
    arrays[missing] = arrays[missing][:-1]
    np.savez(tmp_path / "damaged.npz", environment=np.array('{"id": "CartPole-v1"}'), **arrays)
    with pytest.raises(ValueError, match=r"damaged.npz is damaged: it has .* steps in .* episodes"):
        load_demonstrations(str(tmp_path / "damaged.npz"))


def test_arrays_of_other_types_are_converted(tmp_path: Path, demonstrations: Demonstrations) -> None:
    """Files that other programs wrote, in double precision say."""
    path = tmp_path / "double.npz"
    arrays = {name: getattr(demonstrations, name).astype(np.float64) for name in ARRAYS}
    np.savez(path, environment=np.array('{"id": "CartPole-v1", "options": {"max_episode_steps": 40}}'), **arrays)
    assert_same(load_demonstrations(str(path)), demonstrations)


def test_the_toy_expert_is_better_than_chance() -> None:
    """What the toys of other tests rely on."""
    played = play(Environment(id="CartPole-v1"), lean, numbers=range(5), seed=0)
    assert min(episode.total for episode in played.values()) > 100


# ---------------------------------------------------------------------- those that come with the package


@pytest.mark.parametrize(
    ("name", "environment", "mean_at_least"),
    [("cartpole", "CartPole-v1", 500.0), ("pendulum", "Pendulum-v1", -300.0)],
)
def test_the_embedded_experts_are_good(name: str, environment: str, mean_at_least: float) -> None:
    """CartPole pays 500 at most; chance costs about 1,250 in Pendulum. Both experts draw their actions."""
    demonstrations = load_demonstrations(name)
    demonstrations.check_fits(Environment(id=environment), facts_of(Environment(id=environment)))
    assert demonstrations.environment == Environment(id=environment)
    assert demonstrations.returns.mean() >= mean_at_least
    assert len(demonstrations.lengths) >= 10
    assert not demonstrations.terminated.any()


def test_embedded_steps_are_steps_of_their_environments() -> None:
    """From every observation the environment goes where the file says, up to single precision."""
    cartpole, pendulum = (load_demonstrations(name) for name in ("cartpole", "pendulum"))
    made: Any = Environment(id="CartPole-v1").make().unwrapped
    made.reset(seed=0)
    for row in range(0, len(cartpole), 50):
        made.state = cartpole.observations[row].astype(np.float64)
        shown, *_ = made.step(int(cartpole.actions[row].argmax()))
        np.testing.assert_allclose(shown, cartpole.next_observations[row], atol=1e-5)
    made = Environment(id="Pendulum-v1").make().unwrapped
    made.reset(seed=0)
    for row in range(0, len(pendulum), 20):
        cosine, sine, speed = pendulum.observations[row].astype(np.float64)
        made.state = np.array([np.arctan2(sine, cosine), speed])
        shown, *_ = made.step(pendulum.actions[row])
        np.testing.assert_allclose(shown, pendulum.next_observations[row], atol=1e-4)


@pytest.mark.parametrize(("name", "row"), [("observations", 41), ("actions", 0), ("next_observations", 119)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named_by_file_and_row(
    tmp_path: Path, demonstrations: Demonstrations, name: str, row: int, value: float
) -> None:
    getattr(demonstrations, name)[row, -1] = value
    demonstrations.save(tmp_path / "spoiled.npz")
    with pytest.raises(ValueError, match=rf"spoiled\.npz: row {row} of {name} has the value {value}; .*anew"):
        load_demonstrations(str(tmp_path / "spoiled.npz"))


def test_a_return_that_is_not_finite_is_named(tmp_path: Path, demonstrations: Demonstrations) -> None:
    demonstrations.returns[2] = float("-inf")
    demonstrations.save(tmp_path / "spoiled.npz")
    with pytest.raises(ValueError, match="row 2 of returns has the value -inf"):
        load_demonstrations(str(tmp_path / "spoiled.npz"))
