"""Every penalty of the critic is part of the turn's one compiled graph, with eager's gradients."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.callbacks.regularizers.compiled_penalties_worker import CASES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("compiled") / "results.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.callbacks.regularizers.compiled_penalties_worker", str(file)]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_one_graph_has_the_gradients_of_eager(results: dict[str, dict[str, Any]], case: str) -> None:
    result = results[case]
    assert (result["graphs"], result["breaks"]) == (1, 0)
    assert result["error"] < 1e-5
    assert result["effect"] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("case", ["roth", "roth_f_gan", "adaptive_augmentation"])
def test_changing_numbers_compile_no_further_graph(results: dict[str, dict[str, Any]], case: str) -> None:
    result = results[case]
    assert (result["graphs"], result["breaks"]) == (1, 0)
    assert result["annealed_error"] < 1e-5
    assert result["annealed_effect"] > 1e-3
