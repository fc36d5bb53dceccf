"""Real processes that compile: a signal ends them within seconds, they go on bit for bit, and compile nothing again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.two_ranks import ROOT

LARGEST_SECONDS = 30.0
"""In which a process has to end after a signal. Four on two idle cores, and a compilation takes a minute in all."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The processes of a training, and the files with what they print."""

    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def wait_for(self, text: str) -> None:
        """Until the first rank has printed a text."""
        end = time.monotonic() + 200
        while text not in self.logs[0].read_text():
            assert self.processes[0].poll() is None and time.monotonic() < end, self.logs[0].read_text()[-3000:]
            time.sleep(0.1)

    def codes(self, *, within: float) -> list[int]:
        """The exit codes of all ranks."""
        end = time.monotonic() + within
        return [process.wait(timeout=max(end - time.monotonic(), 0.01)) for process in self.processes]


def start(folder: Path, *, cache: Path, ranks: int = 1) -> Run:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if ranks > 1:
        environment |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "GROUP_RANK": "0"}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    folder.mkdir(exist_ok=True)
    processes, logs = [], []
    for rank in range(ranks):
        logs.append(folder / f"{rank}.log")
        with logs[-1].open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.loop.compile_signal_worker", str(folder)],
                    cwd=ROOT,
                    env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else environment,
                    stdout=log,
                    stderr=log,
                )
            )
    return Run(processes=processes, logs=logs)


def state_of(folder: Path) -> dict[str, Any]:
    """Weights, averages and buffers, the state of the optimizers, and the number of batches, from the checkpoint."""
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    optimizers = [optimizer["state"] for optimizer in content["optimizer_states"]]
    return {"weights": content["state_dict"], "optimizers": optimizers, "batches": content["global_step"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run that nothing ended; it has filled the cache."""
    folder = tmp_path_factory.mktemp("whole")
    run = start(folder, cache=cache)
    assert run.codes(within=280) == [0], run.logs[0].read_text()[-3000:]
    assert json.loads(run.logs[0].read_text().splitlines()[-1])["autograd_cache_miss"] == 3
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("turn", ["discriminator's turn with r1", "generator's turn"])
def test_a_signal_ends_a_compilation_and_the_next_start_compiles_nothing_again(
    whole: Path, cache: Path, turn: str, tmp_path: Path
) -> None:
    """The second turn is compiled after the first one has changed the weights of the discriminator."""
    cut = start(tmp_path / "cut", cache=tmp_path / "empty")
    cut.wait_for(f"compiling the {turn}")
    time.sleep(2.0)
    assert f"compiled the {turn}" not in cut.logs[0].read_text()
    cut.processes[0].send_signal(signal.SIGTERM)
    assert cut.codes(within=LARGEST_SECONDS) == [75], cut.logs[0].read_text()[-3000:]
    assert "SIGTERM: leaving this batch, which compiles" in cut.logs[0].read_text()
    assert state_of(tmp_path / "cut")["batches"] == 0

    resumed = start(tmp_path / "cut", cache=cache)
    assert resumed.codes(within=100) == [0], resumed.logs[0].read_text()[-3000:]
    found = json.loads(resumed.logs[0].read_text().splitlines()[-1])
    assert found["autograd_cache_hit"] == found["graphs"] == 3
    torch.testing.assert_close(state_of(tmp_path / "cut"), state_of(whole), rtol=0, atol=0)
    assert state_of(whole)["batches"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [(0,), (1,), (0, 1)])
def test_a_signal_to_any_of_two_ranks_ends_both(ranks: tuple[int, ...], tmp_path: Path) -> None:
    cut = start(tmp_path / "cut", cache=tmp_path / "empty", ranks=2)
    cut.wait_for("compiling the discriminator's turn with r1")
    time.sleep(2.0)
    for rank in ranks:
        cut.processes[rank].send_signal(signal.SIGTERM)
    said = "".join(log.read_text()[-3000:] for log in cut.logs)
    assert cut.codes(within=LARGEST_SECONDS) == [75, 75], said
    assert state_of(tmp_path / "cut")["batches"] == 0
