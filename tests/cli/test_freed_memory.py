"""Memory that tensors free stays with the process, if the system has the settings and the user has made none."""

import os
import subprocess
import sys

import pytest

from lightning_gan.cli import freed_memory
from lightning_gan.cli.freed_memory import keep_freed_memory

FAULTS = """
import resource, sys, torch
from lightning_gan.cli.freed_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(60 if kept else 3):
    torch.ones(10 * 2**20).add(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(10 * 2**20).add(1)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# At first a small block that lies between two large ones can make the next large one too large for the room that is
# free, so that the process asks the system for one more: at most 5 times and in the first 40 rounds of 60 processes
# that went on for 200 rounds.


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is on Linux")
def test_tensors_get_the_memory_of_others_without_asking_the_system() -> None:
    own = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    found = {}
    for choice in ("keep", "give back"):
        command = [sys.executable, "-c", FAULTS, choice]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        kept, faults = output.stdout.split()
        found[choice] = int(faults)
        if kept == "False":
            pytest.skip("the C library is not glibc")
    assert 5 * found["keep"] < found["give back"]  # of two tensors of 40 MiB, 20 times


@pytest.mark.parametrize("variable", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_the_users_settings_stay(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    assert not keep_freed_memory()


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
