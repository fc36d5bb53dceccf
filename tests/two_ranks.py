"""Starts a worker in one process and in two gloo ranks, and compares the weights that they saved."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.equality import errors

ROOT = Path(__file__).parents[1]


def run(worker: str, target: Path, *, ranks: int) -> None:
    """Run `worker`, such as `tests.loop.distributed_worker`, as `ranks` processes; `target` is its argument."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    launcher = ["torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", "-m"] if ranks > 1 else []
    command = [sys.executable, "-m", *launcher, worker, str(target)]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]


def run_on_one_and_two(worker: str, folder: Path) -> Path:
    """The folder, with what the worker saved there from one process and from two ranks."""
    run(worker, folder, ranks=1)
    run(worker, folder, ranks=2)
    return folder


def assert_same_weights(first: Path, second: Path, *, relative: float) -> None:
    """The networks of two saved state dicts, with their starts, differ by less than this part of how far they moved."""
    found = errors(*(torch.load(file, weights_only=True) for file in (first, second)))
    assert found and all(error <= relative for error in found.values()), found


def largest_difference(first: Path, second: Path, *, within: str) -> float:
    """The largest difference of two saved state dicts, in the tensors whose names contain `within`."""
    one, two = (torch.load(file, weights_only=True) for file in (first, second))
    return max((one[name] - two[name]).abs().max().item() for name in one if within in name)
