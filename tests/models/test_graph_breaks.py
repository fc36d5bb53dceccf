"""No turn of any model breaks its graph, with R1 and without it. All models of `test_every_model.py` are tried."""

import json
import os
import subprocess
import sys

import pytest

from tests.models.test_every_model import MODELS
from tests.two_ranks import ROOT

QUICK = ("DCGAN", "R1ResNet")
"""Two models that are traced in a few seconds. All others are among the slow tests."""


def check(*names: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.models.graph_breaks_worker", *names]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found.keys() == set(names)
    for name, counted in found.items():
        assert counted["eager"] == [] and counted["breaks"] == 0, (name, counted)
        assert counted["graphs"] == counted["kinds"] >= 1, (name, counted)


def test_the_turns_of_two_models_are_one_graph_each() -> None:
    check(*QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", [kind.__name__ for kind in MODELS if kind.__name__ not in QUICK])
def test_the_turns_of_every_model_are_one_graph_each(name: str) -> None:
    check(name)
