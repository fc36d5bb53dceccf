"""Penalties at points of their own, and annealed ones: two gloo ranks end with the weights of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.callbacks.gradient_penalty_worker import CASES, STRATEGIES

ROOT = Path(__file__).parents[2]


def run(folder: Path, *launcher: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", *launcher, "tests.callbacks.gradient_penalty_worker", str(folder)]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks under each strategy."""
    folder = tmp_path_factory.mktemp("weights")
    run(folder)
    run(folder, "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, strategy: str, case: str) -> None:
    one = torch.load(weights / f"auto_{case}.pt", weights_only=True)
    two = torch.load(weights / f"{strategy}_{case}.pt", weights_only=True)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], rtol=0, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "plain"])
def test_the_penalties_matter_in_this_comparison(weights: Path, case: str) -> None:
    plain, penalized = (torch.load(weights / f"auto_{name}.pt", weights_only=True) for name in ("plain", case))
    assert max((plain[name] - penalized[name]).abs().max().item() for name in plain if "blocks" in name) > 1e-3
