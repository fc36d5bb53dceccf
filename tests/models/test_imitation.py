"""Imitators on real rollouts: resumed and on two ranks they end alike, and they learn."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.callbacks import EMA, Bottleneck, EpisodeReturns, KimgCheckpoint, StopAtKimg
from lightning_gan.data import Rollouts
from lightning_gan.imitation_game import ImitationGAN
from lightning_gan.models import GAIL, PPO, VAIL, VAIRL
from tests.imitation_toys import toy_demonstrations, toy_rollouts
from tests.models.imitation_rows import KINDS
from tests.test_resume import Cut, assert_equal
from tests.toys import fast_adam, toy_trainer
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
        "memory_size": 30,
        "discriminator_optimizer": fast_adam,
    }
    settings: dict[str, Any] = {
        "observation_size": 4,
        "action_size": 2,
        "discrete_actions": True,
        "policy_width": 5,
        "generator_optimizer": fast_adam,
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
    assert kind is PPO or whole["state_dict"]["memory.seen"] == 3 * 24
    for cut in (2, 6, 9):
        run(kind, tmp_path / str(cut), cut=cut * BATCH)
        resumed = run(kind, tmp_path / str(cut), resume=True)
        for part in ("state_dict", "optimizer_states", "callbacks", "Rollouts", "global_step"):
            assert_equal(resumed[part], whole[part], where=f"{cut}: {part}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_on_one_and_two("tests.models.imitation_worker", tmp_path_factory.mktemp("imitation"))


@pytest.mark.parametrize("name", ["vail", "vairl"])
def test_two_ranks_train_like_one_process(folder: Path, name: str) -> None:
    """Also the noise of the critic's codes, and beta."""
    assert_same_weights(folder / f"{name}_1.pt", folder / f"{name}_2.pt", tolerance=1e-9)
    weights = torch.load(folder / f"{name}_1.pt", weights_only=True)
    assert weights["beta"] > 0
    assert not torch.equal(weights["generator.actor.0.weight"], weights["generator_ema.actor.0.weight"])


@pytest.mark.parametrize("kind", [VAIL, GAIL])
def test_it_learns_cartpole_from_ten_demonstrations(tmp_path: Path, kind: type[ImitationGAN]) -> None:
    """At least 90 % of the way from random actions to the expert."""
    torch.manual_seed(0)
    data = Rollouts(demonstrations="cartpole", number_of_environments=4, steps_per_rollout=500, batch_size=250)
    model: Any = kind(
        observation_size=data.observation_size,
        action_size=data.action_size,
        discrete_actions=data.discrete_actions,
        generator_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.001, fused=True),
        discriminator_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.0003, fused=True),
    )
    bottlenecks = [Bottleneck(information_constraint=0.5, beta_step_size=0.001)] if kind is VAIL else []
    returns = EpisodeReturns(episodes=20)
    trainer = toy_trainer(
        *bottlenecks,
        StopAtKimg(total_kimg=500.0),
        returns,
        max_epochs=-1,
        log_every_n_steps=100,
        default_root_dir=str(tmp_path),
    )
    trainer.fit(model, data)
    assert trainer.callback_metrics["returns/normalised_score"] >= 0.9
