"""`compile: true` makes each player's whole cost one graph, inner gradients included, with eager's gradients."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compared() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.loop.compile_worker"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return results


@pytest.mark.slow
@pytest.mark.parametrize("case", ["critic_with_penalties", "critic", "generator"])
def test_one_graph_has_the_gradients_of_eager(compared: dict[str, Any], case: str) -> None:
    assert compared[case]["graphs"] == 1
    assert compared[case]["breaks"] == 0
    assert compared[case]["largest_relative_error"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", ["critic_with_penalties", "critic", "generator"])
def test_another_weight_of_the_new_blocks_is_no_new_graph(compared: dict[str, Any], case: str) -> None:
    assert compared[case]["graphs_after_another_weight"] == 1
