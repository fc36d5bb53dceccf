"""Imitators on real rollouts: resumed and on two ranks they end alike, and they learn."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.callbacks import EMA, Bottleneck, KimgCheckpoint, StopAtKimg
from lightning_gan.cli import main
from lightning_gan.imitation import PPO, VAIL, VAIRL
from lightning_gan.imitation.imitation_gan import ImitationGAN
from lightning_gan.imitation.replay import Replay
from lightning_gan.imitation.returns import normalised_score
from tests.cli.command_line import REPOSITORY
from tests.imitation.imitation_rows import KINDS, training_of
from tests.imitation.imitation_toys import toy_demonstrations, toy_rollouts
from tests.loop.test_resume import Cut, assert_equal
from tests.toys import toy_trainer
from tests.two_ranks import assert_same_weights, run_on_one_and_two

pytestmark = [
    pytest.mark.slow,
    # Lightning cannot know that the position is the data module's.
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]

BATCH = 8
TOTAL = 14 * BATCH
"""Rows of a whole run: two rollouts of six batches, and two batches of a third."""


def run(kind: type[ImitationGAN], folder: Path, *, cut: int = TOTAL, resume: bool = False) -> dict[str, Any]:
    """Train until `cut` rows, from the beginning or from the last checkpoint; returns the final checkpoint."""
    toy_demonstrations(folder / "expert.npz")
    torch.manual_seed(11 if resume else 5)  # what the global generator was is no matter
    critic: dict[str, Any] = {
        "critic_width": 4,
        "code_size": 2,
        "replay": Replay(size=30),
    }
    settings: dict[str, Any] = {
        "observation_size": 4,
        "action_size": 2,
        "discrete_actions": True,
        "policy_width": 5,
        "training": training_of(kind),
        **({} if kind is PPO else critic),
    }
    bottlenecks = [Bottleneck(information_constraint=0.01, beta_step_size=0.1)] if kind in (VAIL, VAIRL) else []
    trainer = toy_trainer(
        *bottlenecks,
        EMA(half_life_kimg=0.02),
        StopAtKimg(total_kimg=TOTAL / 1000),
        KimgCheckpoint(every_kimg=1.0),
        Cut(cut),
        default_root_dir=str(folder),
        enable_checkpointing=True,
        max_epochs=-1,
    )
    last = folder / "checkpoints" / "last.ckpt"
    data = toy_rollouts(demonstrations=str(folder / "expert.npz"))
    trainer.fit(kind(**settings), data, ckpt_path=str(last) if resume else None)
    checkpoint: dict[str, Any] = torch.load(last, weights_only=True)
    return checkpoint


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path, kind: type[ImitationGAN]) -> None:
    """Cut within the first rollout, at its end, and within the second: all scales, averages and beta go on."""
    whole = run(kind, tmp_path / "whole")
    assert whole["state_dict"]["generator.scale.count"] == 2 * 24  # the third rollout has not been adopted yet
    assert kind is PPO or whole["state_dict"]["replay_buffer.seen"] == 3 * 24
    for cut in (2, 6, 9):
        run(kind, tmp_path / str(cut), cut=cut * BATCH)
        resumed = run(kind, tmp_path / str(cut), resume=True)
        for part in ("state_dict", "optimizer_states", "callbacks", "Rollouts", "global_step"):
            assert_equal(resumed[part], whole[part], where=f"{cut}: {part}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_on_one_and_two("tests.imitation.imitation_worker", tmp_path_factory.mktemp("imitation"))


@pytest.mark.parametrize("name", ["vail", "vairl", "gail", "ppo"])
def test_two_ranks_train_like_one_process(folder: Path, name: str) -> None:
    """Also the noise of the critic's codes, and beta."""
    assert_same_weights(folder / f"{name}_1.pt", folder / f"{name}_2.pt", relative=1e-9)
    weights = torch.load(folder / f"{name}_1.pt", weights_only=True)
    if name in ("vail", "vairl"):
        assert weights["beta"] > 0
    assert not torch.equal(weights["generator.actor.0.weight"], weights["generator_ema.actor.0.weight"])


def test_the_shipped_vail_learns_cartpole_from_ten_demonstrations(tmp_path: Path) -> None:
    """At least 90 % of the way from random actions to the expert, in two thirds of its training."""
    folder = f"--trainer.default_root_dir={tmp_path}"
    main(["fit", "--config", "vail.yaml", "--config", "hardware/cpu", "--trainer.max_steps=4000", folder])
    records = json.loads((tmp_path / "returns.json").read_text())
    assert records[-1]["kimg"] == 1600
    assert records[-1]["metrics"]["normalised_score"] >= 0.9


def test_a_new_policy_learns_from_the_reward_that_the_shipped_vairl_recovered(tmp_path: Path) -> None:
    """Where the pendulum is longer: at least 70 % of the way from random actions to an expert of there."""

    def fitted(config: str, *arguments: str) -> dict[str, float]:
        # As a user would: within pytest constructors are wrapped by the checks of shapes, and Lightning, which asks
        # for a constructor's signature to load VAIRL's checkpoint, would see the wrapper's.
        folder = tmp_path / config
        options = ["--config", config, "--config", "hardware/cpu", f"--trainer.default_root_dir={folder}", *arguments]
        subprocess.run([sys.executable, REPOSITORY / "cli.py", "fit", *options], check=True, cwd=tmp_path)
        metrics: dict[str, float] = json.loads((folder / "returns.json").read_text())[-1]["metrics"]
        return metrics

    expert = fitted("expert_pendulum.yaml", "--data.physics={l: 1.4}")
    fitted("vairl.yaml")
    checkpoint = tmp_path / "vairl.yaml" / "checkpoints" / "last.ckpt"
    new = fitted("transfer.yaml", f"--model.reward.init_args.checkpoint={checkpoint}")
    assert normalised_score(new["policy"], random=new["random"], expert=expert["policy"]) >= 0.7
