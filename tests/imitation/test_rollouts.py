"""Rollouts as training data: what is in them, by which policy they were collected, and an exact resume."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback
from torch import Tensor

from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.data.stream import indices_at
from lightning_gan.imitation import Rollouts
from lightning_gan.imitation.acting import act, action_noise
from lightning_gan.imitation.demonstrations import Demonstrations
from lightning_gan.imitation.environments import Environment, Environments
from lightning_gan.imitation.rollout_plan import RolloutPlan
from lightning_gan.imitation.rollouts import ENDLESS
from lightning_gan.imitation.transitions import Rollout, Transitions
from lightning_gan.tensors.seeds import derived_seed
from tests.imitation.imitation_toys import ToyAgent, toy_demonstrations, toy_rollouts
from tests.loop.test_resume import assert_equal
from tests.toys import toy_gan, toy_trainer

pytestmark = [
    # Lightning cannot know that the position is the data module's.
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]

BATCHES = 6
"""Of a rollout of `toy_rollouts`: 24 rows, batches of 8, two epochs."""


class Diary(Callback):
    """Keeps every batch, and the policy's weights when it was fetched and after it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.before: list[Tensor] = []
        self.after: list[Tensor] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)
        self.before.append(pl_module.generator.output.weight.detach().clone())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.after.append(pl_module.generator.output.weight.detach().clone())


class Cut(Callback):
    """Stops after so many batches."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        trainer.should_stop |= pl_module.images_seen >= 8 * self.batches


@pytest.fixture
def demonstrations(tmp_path: Path) -> Demonstrations:
    return toy_demonstrations(tmp_path / "expert.npz")


def trained(data: Rollouts, *callbacks: Callback, batches: int = 2 * BATCHES + 1, **settings: Any) -> ToyAgent:
    """The toy agent after so many batches."""
    torch.manual_seed(7)
    agent = ToyAgent(
        observation_size=data.observation_size,
        action_size=data.action_size,
        discrete_actions=data.discrete_actions,
    )
    defaults: dict[str, Any] = {"max_steps": batches, "max_epochs": -1}
    toy_trainer(*callbacks, **{**defaults, **settings}).fit(agent, data)
    return agent


def rows_of(data: Rollouts, batch: Tensor) -> Transitions:
    return Transitions.unpacked(batch, observation_size=data.observation_size, action_size=data.action_size)


# ---------------------------------------------------------------------- what a rollout says


def stepped_by_hand(name: str, rollout: Rollout, *, seeds: list[int], **options: Any) -> None:
    """Asserts that a rollout is what gymnasium does with its actions."""
    environments = [gymnasium.make(name, **options) for _ in seeds]
    shown = [made.reset(seed=seed)[0] for made, seed in zip(environments, seeds, strict=True)]
    steps = len(rollout.rewards)
    for step in range(steps):
        for number, made in enumerate(environments):
            assert np.array_equal(rollout.observations[step, number], shown[number].astype(np.float32))
            action: Any = rollout.actions[step, number].numpy()
            action = int(action.argmax()) if name.startswith("CartPole") else action.clip(-2.0, 2.0)
            after, reward, ends, cut, _ = made.step(action)
            assert np.array_equal(rollout.next_observations[step, number], after.astype(np.float32))
            assert rollout.rewards[step, number] == np.float32(reward)
            assert bool(rollout.terminated[step, number]) == ends
            assert bool(rollout.truncated[step, number]) == (not ends and (cut or step == steps - 1))
            shown[number] = made.reset()[0] if ends or cut else after


def acted(data: Rollouts, *, steps: int, seeds: list[int]) -> tuple[ToyAgent, Tensor, Rollout]:
    torch.manual_seed(7)
    agent = ToyAgent(
        observation_size=data.observation_size, action_size=data.action_size, discrete_actions=data.discrete_actions
    )
    noise = action_noise(steps, len(seeds), data.action_size, seed=0, rollout=0, dtype=torch.float32)
    environments = Environments(data.environment, count=len(seeds))
    return agent, noise, act(agent, environments, noise, seeds=seeds)


def test_a_rollout_is_what_gymnasium_does() -> None:
    """Episodes terminate here, at different times; the last step truncates what goes on."""
    *_, rollout = acted(toy_rollouts(), steps=60, seeds=[1, 2, 3])
    stepped_by_hand("CartPole-v1", rollout, seeds=[1, 2, 3])
    assert rollout.terminated.sum(0).min() >= 1
    assert not rollout.truncated[:-1].any()


def test_a_rollout_says_which_episodes_were_too_long() -> None:
    data = toy_rollouts(environment="Pendulum-v1", environment_options={"max_episode_steps": 7})
    *_, rollout = acted(data, steps=20, seeds=[1, 2])
    stepped_by_hand("Pendulum-v1", rollout, seeds=[1, 2], max_episode_steps=7)
    assert rollout.truncated[:, 0].nonzero()[:, 0].tolist() == [6, 13, 19]
    assert not rollout.terminated.any()


def test_an_episode_that_terminates_with_the_rollout_is_not_truncated() -> None:
    """The pole falls in some step; a rollout that ends just there has nothing to bootstrap."""
    agent, noise, long = acted(toy_rollouts(), steps=60, seeds=[1])
    end = int(long.terminated[:, 0].nonzero()[0])
    environments = Environments(Environment(), count=1)
    exact, cut = (act(agent, environments, noise[:steps], seeds=[1]) for steps in (end + 1, end))
    assert (exact.terminated[-1], exact.truncated[-1]) == (True, False)
    assert (cut.terminated[-1], cut.truncated[-1]) == (False, True)


def test_log_probabilities_and_values_are_those_of_the_agent() -> None:
    agent, noise, rollout = acted(toy_rollouts(), steps=30, seeds=[1, 2])
    for step in range(30):
        actions, log_probabilities, values = agent.act(rollout.observations[step], noise[step])
        assert torch.equal(actions, rollout.actions[step])
        assert torch.equal(log_probabilities, rollout.log_probabilities[step])
        assert torch.equal(values, rollout.values[step])
        torch.testing.assert_close(agent.value(rollout.next_observations[step]), rollout.next_values[step])
    # Where an episode goes on, what follows is what is shown next; where it ends, it is not.
    goes_on = ~rollout.terminated[:-1]
    assert torch.equal(rollout.next_observations[:-1][goes_on], rollout.observations[1:][goes_on])
    assert not torch.equal(rollout.next_observations[:-1][~goes_on], rollout.observations[1:][~goes_on])
    assert not rollout.log_probabilities.requires_grad


def test_noise_is_seeded_and_never_0_or_1() -> None:
    noise = action_noise(50, 40, 500, seed=0, rollout=3, dtype=torch.float32)
    assert noise.min() > 0 and noise.max() < 1
    assert torch.isfinite((-noise.log()).log()).all() and torch.isfinite(torch.special.ndtri(noise)).all()
    assert noise.mean().item() == pytest.approx(0.5, abs=0.002)
    assert torch.equal(noise, action_noise(50, 40, 500, seed=0, rollout=3, dtype=torch.float32))
    for seed, rollout in [(1, 3), (0, 4)]:
        other = action_noise(50, 40, 500, seed=seed, rollout=rollout, dtype=torch.float32)
        assert not torch.equal(noise, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_noise_is_never_0_or_1_in_any_precision(dtype: torch.dtype) -> None:
    noise = action_noise(20, 50, 50, seed=0, rollout=0, dtype=dtype)
    assert noise.min() > 0 and noise.max() < 1


# ---------------------------------------------------------------------- batches


def test_every_epoch_shows_every_row_of_the_rollout_once() -> None:
    diary, data = Diary(), toy_rollouts()
    agent = trained(data, diary)
    for rollout in range(2):
        collected = agent.judged[rollout]
        expected = collected.log_probabilities.flatten().sort().values
        orders = []
        for epoch in range(2):
            first = rollout * BATCHES + epoch * 3
            rows = torch.cat([policy for _, policy in diary.batches[first : first + 3]])
            shown = rows_of(data, rows)
            assert torch.equal(shown.log_probabilities.sort().values, expected)
            orders.append(shown.log_probabilities)
        assert not torch.equal(orders[0], orders[1])


def test_rows_keep_together_what_belongs_together() -> None:
    diary, data = Diary(), toy_rollouts()
    rollout = trained(data, diary, batches=1).judged[0]
    flat = {"observations": rollout.observations, "actions": rollout.actions, "values": rollout.values}
    order = indices_at(0, count=8, length=24, seed=derived_seed(0, "minibatches"))
    shown = rows_of(data, diary.batches[0][1])
    for name, tensor in flat.items():
        # The environments of the first step come first.
        assert torch.equal(getattr(shown, name), tensor.flatten(0, 1)[order])


def test_the_experts_rows_are_an_endless_permutation_of_the_demonstrations(
    tmp_path: Path, demonstrations: Demonstrations
) -> None:
    steps = len(demonstrations)
    diary, data = Diary(), toy_rollouts(demonstrations=str(tmp_path / "expert.npz"))
    trained(data, diary, batches=2 * steps // 8 + 1)
    rows = torch.cat([expert for expert, _ in diary.batches])
    everything = demonstrations.transitions().packed()
    order = [sorted(map(tuple, part.tolist())) for part in (rows[:steps], rows[steps : 2 * steps], everything)]
    assert order[0] == order[2] == order[1]
    assert not torch.equal(rows[:steps], rows[steps : 2 * steps])
    assert rows_of(data, rows).log_probabilities.eq(0).all()


def test_without_demonstrations_the_policy_is_its_own_expert() -> None:
    diary = Diary()
    trained(toy_rollouts(), diary, batches=3)
    for expert, policy in diary.batches:
        assert torch.equal(expert, policy)


def test_only_as_many_demonstrations_are_used_as_are_asked_for(tmp_path: Path, demonstrations: Demonstrations) -> None:
    data = toy_rollouts(demonstrations=str(tmp_path / "expert.npz"), number_of_demonstrations=2)
    assert data.demonstrations is not None
    assert len(data.demonstrations) == demonstrations.lengths[:2].sum() < len(demonstrations)


# ---------------------------------------------------------------------- which policy collects


def test_a_rollout_is_collected_by_the_policy_that_has_learnt_from_the_last_batch() -> None:
    """Lightning fetches no batch ahead: the policy's weights while it acts are those after the last step."""
    diary = Diary()
    agent = trained(toy_rollouts(), diary, batches=2 * BATCHES + 1)
    assert len(agent.weights_at_rollout) == 3
    for rollout in (1, 2):
        acting = agent.weights_at_rollout[rollout]
        assert torch.equal(acting, diary.after[rollout * BATCHES - 1])
        assert not torch.equal(acting, diary.before[rollout * BATCHES - 1])


def test_lightning_sees_a_length_which_stops_it_from_reading_ahead() -> None:
    data = toy_rollouts()
    assert len(data.train_dataloader()) == ENDLESS
    # Summed over ranks by Lightning, in 64 bits.
    assert ENDLESS * 100_000 < 2**63


def test_the_agent_is_told_before_it_acts(tmp_path: Path, demonstrations: Demonstrations) -> None:
    agent = trained(toy_rollouts(demonstrations=str(tmp_path / "expert.npz")))
    assert agent.calls == ["study", "begin_rollout", "begin_rollout", "begin_rollout"]
    expected = torch.from_numpy(demonstrations.observations).std(0) + 0.1
    torch.testing.assert_close(agent.scale, expected)
    assert trained(toy_rollouts(), batches=1).calls == ["begin_rollout"]


def test_rollouts_begin_differently() -> None:
    agent = trained(toy_rollouts())
    starts = torch.cat([rollout.observations[0] for rollout in agent.judged])
    assert len(torch.unique(starts, dim=0)) == len(starts) == 6


def test_it_leaves_the_random_numbers_of_others_alone() -> None:
    class Around(Diary):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.before.append(torch.get_rng_state())

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            self.after.append(torch.get_rng_state())

    around = Around()
    trained(toy_rollouts(), around)
    assert torch.equal(around.before[BATCHES], around.after[BATCHES - 1])


# ---------------------------------------------------------------------- resume


def run(folder: Path, *, cut: int, resume: bool = False, expert: bool = True, **settings: Any) -> dict[str, Any]:
    """Train for `cut` batches, from the beginning or from the last checkpoint; returns the final checkpoint."""
    torch.manual_seed(11 if resume else 5)
    agent = ToyAgent()
    source = {"demonstrations": str(folder / "expert.npz")} if expert else {}
    trainer = toy_trainer(Cut(cut), default_root_dir=str(folder), max_epochs=-1, **settings)
    path = folder / "last.ckpt"
    trainer.fit(agent, toy_rollouts(**source), ckpt_path=str(path) if resume else None)
    trainer.save_checkpoint(path)
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


@pytest.mark.parametrize("cut", [1, 3, 5, 6, 7, 12], ids=lambda cut: f"after_{cut}")
@pytest.mark.parametrize("expert", [True, False], ids=["expert", "alone"])
def test_a_cut_run_ends_like_a_whole_one(
    tmp_path: Path, demonstrations: Demonstrations, cut: int, expert: bool
) -> None:
    """Within a rollout, at the end of an epoch of it, and between two rollouts."""
    whole = run(tmp_path, cut=15, expert=expert)
    run(tmp_path, cut=cut, expert=expert)
    resumed = run(tmp_path, cut=15, resume=True, expert=expert)
    for part in ("state_dict", "optimizer_states", "Rollouts", "global_step"):
        assert_equal(resumed[part], whole[part], where=part)
    assert whole["state_dict"]["rollouts_begun"] == 3


@pytest.mark.parametrize("limit", [4, 6])
def test_lightnings_epochs_change_nothing(tmp_path: Path, demonstrations: Demonstrations, limit: int) -> None:
    whole = run(tmp_path, cut=15)
    in_epochs = run(tmp_path, cut=15, limit_train_batches=limit)
    assert_equal(in_epochs["state_dict"], whole["state_dict"])
    assert_equal(in_epochs["Rollouts"], whole["Rollouts"])


def test_rows_are_saved_within_a_rollout_alone(tmp_path: Path, demonstrations: Demonstrations) -> None:
    within = run(tmp_path, cut=5)["Rollouts"]
    assert within["rollout"] == 0 and within["rows"].shape == (24, 15)
    between = run(tmp_path, cut=6)["Rollouts"]
    assert between["rollout"] == 1 and between["rows"] is None


def test_the_same_data_for_another_training_begin_anew() -> None:
    data = toy_rollouts()
    first, second = (trained(data, batches=4) for _ in range(2))
    assert second.calls == ["begin_rollout"]
    assert torch.equal(first.judged[0].observations, second.judged[0].observations)
    assert torch.equal(first.generator.output.weight, second.generator.output.weight)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps_per_rollout": 24}, "steps_per_rollout=12 and the data now have 24"),
        ({"epochs_per_rollout": 1}, "epochs_per_rollout=2 and the data now have 1"),
        ({"batch_size": 4}, "batch_size=8 and the data now have 4"),
        ({"physics": {"length": 1.0}}, "environment=.*length"),
        ({"number_of_demonstrations": 2}, "demonstrations=.* transitions .* and the data now have .* transitions"),
        ({"demonstrations": None}, "demonstrations=.* transitions .* and the data now have None"),
    ],
)
def test_a_training_does_not_go_on_with_other_data(
    tmp_path: Path, demonstrations: Demonstrations, changed: dict[str, Any], message: str
) -> None:
    run(tmp_path, cut=4)
    data = toy_rollouts(**{"demonstrations": str(tmp_path / "expert.npz"), **changed})
    with pytest.raises(ValueError, match=f"the checkpoint was trained with {message}.*begin anew"):
        toy_trainer(max_steps=9, max_epochs=-1).fit(ToyAgent(), data, ckpt_path=str(tmp_path / "last.ckpt"))


def test_other_demonstrations_of_equal_length_are_other_demonstrations(
    tmp_path: Path, demonstrations: Demonstrations
) -> None:
    run(tmp_path, cut=4)
    changed = demonstrations.observations.copy()
    changed[5, 2] += 0.01
    Demonstrations(**{**vars(demonstrations), "observations": changed}).save(tmp_path / "expert.npz")
    with pytest.raises(ValueError, match="the checkpoint was trained with demonstrations="):
        run(tmp_path, cut=9, resume=True)


def test_a_checkpoint_is_tested_with_any_data(tmp_path: Path, demonstrations: Demonstrations) -> None:
    run(tmp_path, cut=4)
    data = toy_rollouts(physics={"length": 1.0})
    trainer = toy_trainer()
    trainer.test(ToyAgent(), datamodule=data, ckpt_path=str(tmp_path / "last.ckpt"), verbose=False)
    assert trainer.num_test_batches == [1]


# ---------------------------------------------------------------------- facts and refusals


def test_the_model_learns_the_environments_facts() -> None:
    data = Rollouts(environment="Pendulum-v1")
    assert (data.observation_size, data.action_size, data.discrete_actions) == (3, 1, False)


@pytest.mark.parametrize(("batch_size", "nearest"), [(7, "6 or 8"), (100, "24"), (11, "8 or 12")])
def test_a_batch_size_that_does_not_divide_a_rollout_is_refused_with_the_nearest_that_do(
    batch_size: int, nearest: str
) -> None:
    message = (
        f"2 environments x 12 steps = 24 rows does not divide into batches of batch_size={batch_size}; give {nearest},"
    )
    with pytest.raises(ValueError, match=message):
        RolloutPlan(number_of_environments=2, steps_per_rollout=12, epochs_per_rollout=1, batch_size=batch_size)


@pytest.mark.parametrize("name", ["number_of_environments", "steps_per_rollout", "epochs_per_rollout", "batch_size"])
def test_counts_below_1_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0 must be at least 1"):
        toy_rollouts(**{name: 0})


def test_a_number_of_demonstrations_needs_demonstrations() -> None:
    with pytest.raises(ValueError, match="number_of_demonstrations=3, but there are no demonstrations"):
        toy_rollouts(number_of_demonstrations=3)


@pytest.mark.parametrize(("batch_size", "message"), [(8, "global batch size 8"), (24, "number_of_environments=2")])
def test_what_processes_cannot_share_equally_is_refused(
    batch_size: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_gan.imitation.rollouts.rank_and_world_size", lambda trainer: (0, 3))
    with pytest.raises(ValueError, match=f"{message} cannot be shared equally by 3 processes; give a multiple of 3"):
        toy_trainer(max_steps=1).fit(ToyAgent(), toy_rollouts(batch_size=batch_size))


def test_what_they_are_can_be_printed_without_acting() -> None:
    assert str(toy_rollouts(physics={"length": 1.0})) == "Rollouts in CartPole-v1 (length=1.0)"


def test_a_model_without_a_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="by a model with a policy, which GAN does not have"):
        toy_trainer(max_steps=1).fit(toy_gan(), toy_rollouts())


ENVIRONMENTS = [
    name
    for name in shipped_configs()
    if name.startswith("data/") and "data.Rollouts" in (shipped_folder() / name).read_text()
]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_fragment_puts_an_environment_in_place_of_a_configurations_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "vail.yaml", "--config", name, "--print_config"])
    assert exit_.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    asked = yaml.safe_load((shipped_folder() / name).read_text())["data"]["init_args"]["environment"]
    assert printed["data"]["init_args"]["environment"] == asked
    assert printed["model"]["class_path"].endswith("VAIL")
