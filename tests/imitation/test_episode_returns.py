"""Returns of a policy beside an expert, chance and other runs; and the recording of an expert."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from lightning_gan.callbacks import EMA
from lightning_gan.data import Digits
from lightning_gan.imitation import EpisodeReturns, RecordDemonstrations
from lightning_gan.imitation.demonstrations import load_demonstrations
from lightning_gan.imitation.environments import Environment, play, random_policy
from lightning_gan.imitation.episode_returns import Row, earned_elsewhere, returns_table
from lightning_gan.imitation.returns import MeanReturn, mean_return
from tests.imitation.imitation_toys import ToyAgent, toy_demonstrations, toy_rollouts
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of

SHORT: dict[str, Any] = {"max_episode_steps": 40}


@pytest.fixture
def expert(tmp_path: Path) -> str:
    path = tmp_path / "expert.npz"
    toy_demonstrations(path)
    return str(path)


def agent() -> ToyAgent:
    torch.manual_seed(7)
    return ToyAgent()


def measured(folder: Path, *, expert: str | None = None, module: ToyAgent | None = None, **settings: Any) -> Trainer:
    data = toy_rollouts(demonstrations=expert, environment_options=SHORT)
    trainer = toy_trainer(EpisodeReturns(**{"episodes": 10, **settings}), default_root_dir=str(folder))
    trainer.test(module or agent(), datamodule=data, verbose=False)
    return trainer


def records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "returns.json").read_text())
    return found


# ---------------------------------------------------------------------- numbers


def test_the_returns_are_those_of_whole_episodes_with_the_likeliest_actions(tmp_path: Path) -> None:
    module = agent()
    numbers = measured(tmp_path, module=module, seed=3).callback_metrics

    def decide(observations: Any) -> Any:
        with torch.no_grad():
            return module.decide(torch.from_numpy(observations).float()).double().numpy()

    played = play(Environment(options=SHORT), decide, numbers=range(10), seed=3, at_once=1)
    totals = torch.tensor([episode.total for episode in played.values()])
    assert numbers["returns/policy"].item() == pytest.approx(totals.mean().item())
    assert numbers["returns/policy_interval"].item() == pytest.approx(2.262 * totals.std().item() / 10**0.5, rel=1e-3)
    assert numbers["returns/episode_length"] == numbers["returns/policy"]  # CartPole pays 1 a step
    assert totals.std() > 0


def test_the_random_policy_plays_the_same_episodes(tmp_path: Path) -> None:
    numbers = measured(tmp_path, seed=3).callback_metrics
    environment = Environment(options=SHORT)
    played = play(environment, random_policy(environment, seed=3), numbers=range(10), seed=3)
    expected = mean_return(torch.tensor([episode.total for episode in played.values()]))
    assert numbers["returns/random"].item() == pytest.approx(expected.mean)
    assert numbers["returns/random_interval"].item() == pytest.approx(expected.interval, rel=1e-6)


def test_the_expert_is_that_of_the_demonstrations_and_gives_the_scale(tmp_path: Path, expert: str) -> None:
    """`lean` stays up for all 40 steps."""
    numbers = measured(tmp_path, expert=expert).callback_metrics
    assert numbers["returns/expert"] == 40 and numbers["returns/expert_interval"] == 0
    policy, chance = numbers["returns/policy"], numbers["returns/random"]
    assert numbers["returns/normalised_score"].item() == pytest.approx(((policy - chance) / (40 - chance)).item())


def test_without_an_expert_there_is_no_score(tmp_path: Path) -> None:
    numbers = measured(tmp_path).callback_metrics
    assert not {"returns/expert", "returns/normalised_score"} & set(numbers)


def test_how_many_play_side_by_side_is_no_matter_to_the_policy(tmp_path: Path) -> None:
    one, many = (measured(tmp_path, batch_size=size).callback_metrics["returns/policy"] for size in (1, 16))
    assert one == many


def test_averaged_weights_play_if_there_are_some(tmp_path: Path) -> None:
    module = agent()
    with torch.no_grad():
        for parameter in module.generator_ema.parameters():
            parameter.zero_()
        # The policy of the toy expert: to where the pole falls.
        module.generator_ema.hidden.weight[0] = torch.tensor([0.0, 0.0, 1.0, 0.5])
        module.generator_ema.output.weight[1, 0] = 1.0
    before = measured(tmp_path, module=module)
    module.averaged = True
    after = measured(tmp_path, module=module)
    assert not records(tmp_path)[0]["average"] and records(tmp_path)[1]["average"]
    assert before.callback_metrics["returns/policy"] < after.callback_metrics["returns/policy"] == 40


# ---------------------------------------------------------------------- when


def fitted(folder: Path, *callbacks: Any, **settings: Any) -> ToyAgent:
    module = agent()
    data = toy_rollouts(environment_options=SHORT)
    toy_trainer(*callbacks, default_root_dir=str(folder), max_steps=10, max_epochs=-1, **settings).fit(module, data)
    return module


def test_it_measures_every_so_many_transitions_and_at_the_end(tmp_path: Path, capsys: Any) -> None:
    fitted(tmp_path, EpisodeReturns(every_kimg=0.032, episodes=3))
    assert [record["kimg"] for record in records(tmp_path)] == [0.032, 0.064, 0.08]
    shown = capsys.readouterr().out
    assert shown.count("kimg: return ") == 2 and shown.count("mean return of 3 episodes") == 1


def test_measuring_leaves_training_as_it_was(tmp_path: Path) -> None:
    watched = fitted(tmp_path, EMA(half_life_kimg=0.02), EpisodeReturns(every_kimg=0.016, episodes=3))
    alone = fitted(tmp_path, EMA(half_life_kimg=0.02))
    assert equal(weights_of(watched), weights_of(alone))


def test_it_measures_in_validate_too(tmp_path: Path) -> None:
    trainer = toy_trainer(EpisodeReturns(episodes=3), default_root_dir=str(tmp_path))
    trainer.validate(agent(), datamodule=toy_rollouts(environment_options=SHORT), verbose=False)
    assert records(tmp_path)[0]["stage"] == "validate"
    assert trainer.callback_metrics["returns/policy"] > 0


def test_a_trial_run_is_not_measured(tmp_path: Path) -> None:
    fitted(tmp_path, EpisodeReturns(every_kimg=0.001), fast_dev_run=2)
    assert not (tmp_path / "returns.json").exists()


# ---------------------------------------------------------------------- the table


def test_the_table_has_a_row_for_every_policy(tmp_path: Path, expert: str, capsys: Any) -> None:
    (tmp_path / "gail").mkdir()
    measured(tmp_path / "gail", expert=expert)
    capsys.readouterr()
    other = {"GAIL": str(tmp_path / "gail" / "returns.json"), "PPO": str(tmp_path / "ppo" / "returns.json")}
    measured(tmp_path, expert=expert, compare=other)
    lines = capsys.readouterr().out.splitlines()
    numbers = records(tmp_path)[0]["metrics"]
    own = f"{numbers['policy']:.1f} ± {numbers['policy_interval']:.1f}"
    start = lines.index("CartPole-v1 (max_episode_steps=40): mean return of 10 episodes")
    names = [line[:20].strip() for line in lines[start + 2 : start + 7]]
    assert names == ["ToyAgent (this run)", "expert (3 episodes)", "random", "GAIL", "PPO"]
    assert own in lines[start + 2] and f"{numbers['normalised_score']:.2f}" in lines[start + 2]
    assert lines[start + 3].split()[-4:] == ["40.0", "±", "0.0", "1.00"]
    assert lines[start + 5].split()[1:4] == own.split()
    assert lines[start + 6].endswith("not trained yet: python cli.py fit --config ppo.yaml")
    # Numbers stand below each other.
    assert len({line.index("±") for line in lines[start + 2 : start + 6]}) == 1


def test_an_expert_of_other_physics_is_said_to_be_one(tmp_path: Path, expert: str, capsys: Any) -> None:
    data = toy_rollouts(demonstrations=expert, physics={"length": 1.0}, environment_options=SHORT)
    trainer = toy_trainer(EpisodeReturns(episodes=3), default_root_dir=str(tmp_path))
    trainer.test(agent(), datamodule=data, verbose=False)
    assert "expert (3 episodes of CartPole-v1 (max_episode_steps=40))" in capsys.readouterr().out


def test_what_another_run_earned_in_another_environment_is_not_compared(tmp_path: Path) -> None:
    measured(tmp_path)
    path = tmp_path / "returns.json"
    assert isinstance(earned_elsewhere(path, Environment(options=SHORT)), MeanReturn)
    told = earned_elsewhere(path, Environment(physics={"length": 1.0}))
    assert isinstance(told, str) and told.endswith("but in CartPole-v1 (max_episode_steps=40)")


def test_the_latest_of_another_run_is_compared(tmp_path: Path) -> None:
    fitted(tmp_path, EpisodeReturns(every_kimg=0.032, episodes=3))
    earlier = records(tmp_path)
    for number, record in enumerate(earlier):
        record["metrics"] |= {"policy": 100.0 * number, "policy_interval": 1.0}
    (tmp_path / "returns.json").write_text(json.dumps(earlier))
    assert len(earlier) == 3
    assert earned_elsewhere(tmp_path / "returns.json", Environment(options=SHORT)) == MeanReturn(200.0, 1.0)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[3]", '[{"metrics": {}}]'])
def test_a_file_of_something_else_is_no_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "returns.json"
    path.write_text(content)
    assert earned_elsewhere(path, Environment()) == f"{path} holds no returns"


def test_a_single_demonstration_has_no_interval() -> None:
    rows = [Row("expert (1 episode)", MeanReturn(500.0, float("nan")))]
    assert "expert (1 episode)   500.0" in returns_table(rows, title="", scale=None, settings={})


# ---------------------------------------------------------------------- refusals


def test_a_model_without_a_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="EpisodeReturns: GAN has no policy; use this callback with VAIL"):
        toy_trainer(EpisodeReturns()).fit(toy_gan(), toy_loader())


def test_data_without_an_environment_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"in the data's environment, but Digits has none; train on lightning_gan\.imitation\.Rollouts"
    ):
        toy_trainer(EpisodeReturns()).test(agent(), datamodule=Digits())
    with pytest.raises(ValueError, match="there is no data module"):
        toy_trainer(EpisodeReturns()).test(agent(), toy_loader())


def test_sharded_networks_are_refused_because_ranks_play_for_different_times() -> None:
    trainer = toy_trainer(strategy="gan_fsdp", devices=1)
    trainer.datamodule = toy_rollouts()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="use strategy='gan_ddp'"):
        EpisodeReturns().setup(trainer, agent(), "fit")


@pytest.mark.parametrize("episodes", [0, 1])
def test_too_few_episodes_for_an_interval_are_refused(episodes: int) -> None:
    with pytest.raises(ValueError, match=f"episodes={episodes} must be at least 2"):
        EpisodeReturns(episodes=episodes)


# ---------------------------------------------------------------------- recording


def test_the_recorded_expert_is_the_policy(tmp_path: Path, capsys: Any) -> None:
    module, path = agent(), tmp_path / "new" / "expert.npz"
    trainer = toy_trainer(RecordDemonstrations(path=str(path), episodes=6, seed=2))
    trainer.test(module, datamodule=toy_rollouts(environment_options=SHORT), verbose=False)
    recorded = load_demonstrations(str(path))
    assert len(recorded.lengths) == 6 and recorded.environment == Environment(options=SHORT)
    with torch.no_grad():
        decided = module.decide(torch.from_numpy(recorded.observations))
    assert np.array_equal(decided.numpy(), recorded.actions)
    mean, interval = mean_return(torch.from_numpy(recorded.returns))
    shown = capsys.readouterr().out
    assert f"6 episodes, {len(recorded)} steps of CartPole-v1" in shown
    assert f"mean return {mean:.1f} ± {interval:.1f}" in shown


def recorded(path: Path, **settings: Any) -> Any:
    """Demonstrations with random actions, and the likeliest ones in their place."""
    module = agent()
    trainer = toy_trainer(RecordDemonstrations(path=str(path), episodes=6, random_actions=True, **settings))
    trainer.test(module, datamodule=toy_rollouts(environment_options=SHORT), verbose=False)
    found = load_demonstrations(str(path))
    with torch.no_grad():
        return found, module.decide(torch.from_numpy(found.observations)).numpy()


def test_a_recorded_expert_may_draw_its_actions(tmp_path: Path) -> None:
    """The toy's logits are near 0, so that about half of the two actions differ; equal seeds, equal files."""
    first, likeliest = recorded(tmp_path / "first.npz", seed=2)
    assert 0.2 < (first.actions != likeliest).any(axis=1).mean() < 0.8
    again, _ = recorded(tmp_path / "again.npz", seed=2)
    assert np.array_equal(again.observations, first.observations) and np.array_equal(again.actions, first.actions)
    other, _ = recorded(tmp_path / "other.npz", seed=3)
    assert not np.array_equal(other.actions[: len(first)], first.actions[: len(other)])


def test_recorded_demonstrations_can_be_learnt_from(tmp_path: Path) -> None:
    path = str(tmp_path / "expert.npz")
    trainer = toy_trainer(RecordDemonstrations(path=path, episodes=3))
    trainer.test(agent(), datamodule=toy_rollouts(environment_options=SHORT), verbose=False)
    module = agent()
    toy_trainer(max_steps=7, max_epochs=-1).fit(module, toy_rollouts(demonstrations=path))
    assert module.calls[0] == "study"


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path='expert.pkl' must end in \.npz"):
        RecordDemonstrations(path="expert.pkl")
    with pytest.raises(ValueError, match="episodes=0 must be at least 1"):
        RecordDemonstrations(path="expert.npz", episodes=0)
    with pytest.raises(ValueError, match="RecordDemonstrations: GAN has no policy"):
        toy_trainer(RecordDemonstrations(path=str(tmp_path / "a.npz"))).test(toy_gan(), toy_loader())
