"""Two gloo ranks collect the rollouts, take the steps and measure the returns of one process."""

import json
from pathlib import Path

import pytest
import torch

from tests.two_ranks import assert_same_weights, run_on_one_and_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_on_one_and_two("tests.imitation.two_ranks_worker", tmp_path_factory.mktemp("imitation"))


@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_two_ranks_train_like_one_process(folder: Path, environment: str) -> None:
    assert_same_weights(folder / f"{environment}_1.pt", folder / f"{environment}_2.pt", relative=1e-9)


@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_two_ranks_measure_the_returns_of_one_process(folder: Path, environment: str) -> None:
    one, two = (json.loads((folder / f"{environment}_{ranks}" / "returns.json").read_text()) for ranks in (1, 2))
    assert len(one) == len(two) == 1
    assert two[0]["metrics"] == pytest.approx(one[0]["metrics"], abs=1e-9)
    assert one[0]["metrics"]["policy_interval"] > 0


def test_the_run_that_is_compared_has_moved(folder: Path) -> None:
    weights = torch.load(folder / "Pendulum-v1_1.pt", weights_only=True)
    assert not torch.equal(weights["generator.output.weight"], weights["generator_ema.output.weight"])
    assert not torch.equal(weights["rewards_0"], weights["rewards_2"])
