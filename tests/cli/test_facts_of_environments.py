"""From the command line: a model learns its environment's facts from the data, and models of images are left alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import hyperparameters, message_of, read, run, write

FACTS = {"observation_size", "action_size", "discrete_actions"}

SWING: dict[str, Any] = {
    "model": {"class_path": "PPO"},
    "data": {
        "class_path": "Rollouts",
        "init_args": {
            "environment": "Pendulum-v1",
            "environment_options": {"g": 9.0, "max_episode_steps": 20},
            "number_of_environments": 2,
            "steps_per_rollout": 8,
            "epochs_per_rollout": 1,
            "batch_size": 8,
        },
    },
    "trainer": {
        "accelerator": "cpu",
        "max_steps": 3,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [
            {"class_path": "EpisodeReturns", "init_args": {"episodes": 2}},
            {"class_path": "RecordDemonstrations", "init_args": {"path": "expert.npz", "episodes": 2}},
        ],
    },
}


@pytest.fixture(autouse=True)
def swing(folder: Path) -> None:
    write("swing.yaml", SWING)


def test_a_policy_takes_its_sizes_from_its_environment() -> None:
    run("fit --config swing.yaml")
    saved = hyperparameters("swing")
    assert {fact: saved[fact] for fact in FACTS} == {
        "observation_size": 3,
        "action_size": 1,
        "discrete_actions": False,
    }
    assert not FACTS & set(read("runs/swing/config.yaml")["model"]["init_args"])


def test_a_model_of_images_is_not_told_of_environments() -> None:
    run("fit --config tiny.yaml")
    assert not FACTS & set(hyperparameters("tiny"))


@pytest.mark.parametrize(("setting", "known"), [("observation_size=4", "3"), ("discrete_actions=true", "False")])
def test_a_policy_that_contradicts_its_environment_is_refused(
    setting: str, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = message_of(f"fit --config swing.yaml --model.{setting}", capsys)
    fact = setting.partition("=")[0]
    assert f"but Rollouts has {fact}={known}; leave model.{fact} out, because it follows" in message


def test_a_policy_on_images_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    message = message_of("fit --config tiny.yaml --model=PPO", capsys)
    assert "Digits has no attribute observation_size" in message


def test_physics_are_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config swing.yaml --data.physics.m=2.0")
    (record,) = json.loads(Path("runs/swing/returns.json").read_text())
    assert record["environment"]["physics"] == {"m": 2.0}
    assert "Pendulum-v1 (g=9.0, max_episode_steps=20, m=2.0): mean return of 2 episodes" in capsys.readouterr().out


@pytest.mark.slow
def test_an_expert_is_trained_recorded_and_shown_to_others() -> None:
    run("fit --config swing.yaml")
    run("test --config swing.yaml --ckpt_path last")
    run("fit --config swing.yaml --data.demonstrations expert.npz --name after")
    (record,) = json.loads(Path("runs/after/returns.json").read_text())
    assert record["demonstrations"] == 2 and record["metrics"]["expert"] < 0
