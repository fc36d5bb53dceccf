"""A folder for temporary files whose path is too long for sockets is refused, and does not make training wait."""

import os
import subprocess
import sys
from pathlib import Path

from tests.two_ranks import ROOT

READ = (
    "from lightning_gan.data import Digits; "
    "print(tuple(next(iter(Digits(batch_size=4, number_of_workers={workers}).train_dataloader()))[0].shape))"
)


def read(temporary: Path, *, workers: int) -> subprocess.CompletedProcess[str]:
    """Read a batch in a program whose temporary files are in this folder."""
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READ.format(workers=workers)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_path_that_is_too_long_is_refused_if_processes_read_ahead(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    refused = read(long, workers=2)
    assert refused.returncode and "too long for the sockets through which" in refused.stderr.splitlines()[-1]
    assert read(long, workers=0).stdout == "(4, 1, 32, 32)\n"


def test_the_longest_path_that_is_accepted_works() -> None:
    """With one character more it is refused, so that the bound is that of the machine."""
    length = 107 - len("/pymp-12345678/listener-12345678")
    for more, works in ((0, True), (1, False)):
        folder = Path("/tmp") / ("t" * (length + more - len("/tmp/")))
        ended = read(folder, workers=1)
        folder.rmdir()
        assert (ended.stdout == "(4, 1, 32, 32)\n") is works, ended.stderr
