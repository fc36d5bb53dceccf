"""The script for SLURM, with programs in place of SLURM's."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from lightning_gan.cli import main

SCRIPT = Path(__file__).parents[3] / "examples" / "slurm" / "train.sh"


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a `srun` that writes its arguments down, one in a line."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    srun = programs / "srun"
    srun.write_text(f'#!/bin/sh\nfor argument; do echo "$argument"; done > {shlex.quote(str(folder))}/srun.txt\n')
    srun.chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, env={**path, **environment}, capture_output=True, text=True, timeout=120)


def test_it_is_a_shell_script() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)
    lines = SCRIPT.read_text().splitlines()
    settings = [place for place, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first_command = next(place for place, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(settings) < first_command  # SLURM reads no settings after the first command


def test_outside_of_slurm_it_says_how_it_is_started(tmp_path: Path) -> None:
    done = run(tmp_path, "--config", "stylegan.yaml")
    assert done.returncode == 2 and "submit this file with sbatch" in done.stderr
    assert not (tmp_path / "srun.txt").exists()


def test_its_processes_are_those_of_the_job(tmp_path: Path) -> None:
    done = run(
        *(tmp_path, "--config", "stylegan.yaml", "--name", "two words"),
        SLURM_JOB_NUM_NODES="2",
        SLURM_NTASKS_PER_NODE="8",
    )
    assert done.returncode == 0, done.stderr
    program, *arguments = (tmp_path / "srun.txt").read_text().splitlines()
    assert program == "lightning-gan"
    assert arguments[:5] == ["fit", "--config", "stylegan.yaml", "--name", "two words"]
    assert " ".join(arguments[5:]) == "--config hardware/ddp.yaml --trainer.num_nodes 2 --trainer.devices 8 --resume"


def test_the_command_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--config", "stylegan.yaml", SLURM_JOB_NUM_NODES="2", FRAGMENT="hardware/fsdp2.yaml")
    _, *arguments = (tmp_path / "srun.txt").read_text().splitlines()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--print_config"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "num_nodes: 2" in printed and "strategy: gan_fsdp" in printed


def test_an_environment_is_activated(tmp_path: Path) -> None:
    activate = tmp_path / "environment" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("touch activated\n")
    run(tmp_path, SLURM_JOB_NUM_NODES="1", ENVIRONMENT=str(tmp_path / "environment"))
    assert (tmp_path / "activated").exists()
