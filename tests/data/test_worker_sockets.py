"""A folder for temporary files whose path is too long for sockets is refused, and does not make training wait."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

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


def test_without_such_processes_a_path_may_have_any_length(tmp_path: Path) -> None:
    assert read(tmp_path / ("long" * 20), workers=0).stdout == "(4, 1, 32, 32)\n"


def test_the_longest_path_that_is_accepted_works_and_one_character_more_is_refused() -> None:
    """So the bound is that of the machine."""
    length = 107 - len("/pymp-12345678/listener-12345678")
    with TemporaryDirectory(dir="/tmp") as own:
        folder = Path(own) / ("t" * (length - len(f"{own}/")))
        ended = read(folder, workers=1)
        assert ended.stdout == "(4, 1, 32, 32)\n", ended.stderr
        refused = read(folder.with_name(f"{folder.name}t"), workers=1)
        assert refused.returncode and "the limit of the sockets" in refused.stderr.splitlines()[-1]
