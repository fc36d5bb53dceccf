"""A working directory of its own for every test of the command line."""

from pathlib import Path

import pytest

from tests.cli.command_line import TINY, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with one small configuration, `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_GAN_DEBUG", raising=False)
    write("tiny.yaml", TINY)
    return tmp_path
