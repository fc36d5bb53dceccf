"""A folder for temporary files whose path is too long for sockets is refused, and does not make training wait."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.two_ranks import ROOT

READ = (
    "from lightning_gan.data import Digits; "
    "print(tuple(next(iter(Digits(batch_size=4, number_of_workers={workers}).train_dataloader()))[0].shape))"
)


def read(temporary: Path, *, workers: int) -> subprocess.CompletedProcess[str]:
    """Read a batch in a program whose temporary files are in this folder."""
    return ended([sys.executable, "-c", READ.format(workers=workers)], temporary)


def ended(command: list[str], temporary: Path) -> subprocess.CompletedProcess[str]:
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_training_with_such_a_path_ends_with_one_line_of_each_rank(ranks: int, tmp_path: Path) -> None:
    options = (
        f"--trainer.devices {ranks} --trainer.strategy gan_ddp --trainer.accelerator cpu --trainer.logger false "
        f"--trainer.default_root_dir {tmp_path} --data.number_of_workers 1 --Evaluation.every_kimg null "
    )
    small = "--model.latent_dim 4 --model.style_dim 4 --model.channel_max 4 --trainer.max_steps 1"
    command = [sys.executable, "cli.py", "fit", "--config", "stylegan2.yaml", *f"{options} {small}".split()]
    refused = ended(command, tmp_path / ("long" * 20))
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert refused.stderr.count("lightning-gan: error: TMPDIR: the path ") == ranks


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
