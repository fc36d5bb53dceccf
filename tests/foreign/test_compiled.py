"""Compiled networks are observed, and differentiated twice by eager code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_compiled_networks_end_with_the_weights_of_a_penalty_by_hand(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "tests" / "foreign" / "compiled_worker.py"), str(tmp_path / "found.json")]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {"in_place", "wrapped"}
    for measured in found.values():
        assert measured["graphs"] >= 2  # both networks were compiled, and stayed so
        assert measured["error"] < 1e-6
        assert measured["effect"] > 1e-2
