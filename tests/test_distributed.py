"""Distributed means equal: two gloo ranks end with the weights of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.distributed_worker import CASES, STRATEGIES

ROOT = Path(__file__).parents[1]


def run(folder: Path, *launcher: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, str(ROOT / "tests" / "distributed_worker.py"), str(folder)]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks under each strategy."""
    folder = tmp_path_factory.mktemp("weights")
    run(folder)
    run(folder, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, strategy: str, case: str) -> None:
    """Networks and EMA alike; the penalties' effect is billions of times larger than the tolerance."""
    one = torch.load(weights / f"auto_{case}.pt", weights_only=True)
    two = torch.load(weights / f"{strategy}_{case}.pt", weights_only=True)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], rtol=0, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
def test_the_penalties_matter_in_this_comparison(weights: Path) -> None:
    runs = [torch.load(weights / f"auto_{case}.pt", weights_only=True) for case in CASES]
    for first, second in [(0, 1), (0, 2), (1, 2)]:
        difference = max((runs[first][k] - runs[second][k]).abs().max().item() for k in runs[0] if "blocks" in k)
        assert difference > 1e-3


@pytest.mark.slow
def test_fsdp2_cannot_differentiate_twice_without_the_loops_guard(weights: Path) -> None:
    for rank in range(2):
        assert "storage" in (weights / f"unguarded_{rank}.txt").read_text()
