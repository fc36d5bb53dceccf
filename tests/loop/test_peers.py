"""A rank ends when another one has failed, has died or is silent, and not when it ends rightly."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from lightning_gan.loop import peers
from lightning_gan.loop.peers import PeerWatch, is_of_connection


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    monkeypatch.setattr(peers, "BEAT_SECONDS", 0.05)
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))


def watch(
    store: TCPStore, rank: int, codes: list[int], *, silence_seconds: float = 30.0, is_child: bool = False
) -> PeerWatch:
    own = store
    if rank:
        own = TCPStore("127.0.0.1", store.port, wait_for_workers=False, timeout=timedelta(seconds=60))
    made = PeerWatch(
        store=own,
        rank=rank,
        ranks=2,
        silence_seconds=silence_seconds,
        grace_seconds=0.1,
        is_child=is_child,
        end=codes.append,
    )
    made.start()
    return made


def test_a_report_ends_the_others_and_says_why(store: TCPStore, capfd: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    first, second = watch(store, 0, codes), watch(store, 1, codes)
    second.report("ValueError: no images")
    second.report("a later one")
    second.stop()
    assert first.reason_of_others(wait_seconds=60.0) == "rank 1 has ended: ValueError: no images"
    first._thread.join(timeout=60.0)
    second._thread.join(timeout=60.0)
    assert codes == [1]
    assert "rank 1 has ended: ValueError: no images, so that rank 0 ends too" in capfd.readouterr().err


@pytest.mark.parametrize(("is_child", "code"), [(False, 75), (True, 0)])
def test_a_rank_that_was_stopped_gives_the_others_its_exit_code(store: TCPStore, is_child: bool, code: int) -> None:
    codes: list[int] = []
    first, second = watch(store, 0, codes, is_child=is_child), watch(store, 1, [])
    second.report("stopped by SIGTERM: saved last.ckpt", code=75)
    second.stop()
    assert first.reason_of_others(wait_seconds=60.0) == "rank 1 has ended: stopped by SIGTERM: saved last.ckpt"
    first._thread.join(timeout=60.0)
    assert codes == [code]


def test_a_silent_rank_is_taken_for_dead(store: TCPStore) -> None:
    codes: list[int] = []
    first = watch(store, 0, codes, silence_seconds=2.0)
    second = watch(store, 1, codes)
    time.sleep(2.3)
    assert first.reason is None
    second.stop()
    assert first.reason_of_others(wait_seconds=60.0) == "rank 1 has not been heard of for 2 s"
    first._thread.join(timeout=60.0)
    assert codes == [1]


def test_ranks_that_have_stopped_watching_end_in_peace(store: TCPStore) -> None:
    codes: list[int] = []
    watches = [watch(store, rank, codes) for rank in range(2)]
    for one in watches:
        one.stop()
    for one in watches:
        one._thread.join(timeout=60.0)
    assert codes == [] and all(one.reason is None for one in watches)


def test_errors_of_collectives_are_told_from_others() -> None:
    closed = "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4711"
    assert is_of_connection(RuntimeError(closed))
    assert not is_of_connection(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_of_connection(ValueError("gloo"))


SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_runs_end_like_one_that_was_not(ranks: int) -> None:
    (row,) = soak("--kills", "3", "--ranks", str(ranks))
    assert row[:3] == [str(ranks), "3", "0"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_no_fault_hangs_or_loses_anything(ranks: int) -> None:
    rows = soak("--faults", "--trials", "1", "--ranks", str(ranks))
    assert len(rows) >= 6
    for title, *counts in rows:
        assert counts[:5] == ["1", "0", "0", "0", "1"], title


def soak(*options: str) -> list[list[str]]:
    """The rows of the table that the soak test prints."""
    command = [sys.executable, str(SOAK), "--total-kimg", "0.96", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
