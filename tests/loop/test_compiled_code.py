"""Where compiled code is kept, and when torch's own folder stays."""

import os
from pathlib import Path

import pytest

from lightning_gan.loop import compiled_code
from lightning_gan.loop.compiled_code import VARIABLE, keep_compiled_code


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # which the end of the test restores
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(compiled_code, "user_cache", lambda: tmp_path / "cache")


def test_compiled_code_is_kept_in_the_users_cache_by_processor(tmp_path: Path) -> None:
    keep_compiled_code()
    folder = Path(os.environ[VARIABLE])
    assert folder.is_dir() and folder.parent == tmp_path / "cache" / "lightning_gan" / "compiled"


def test_another_processor_has_another_folder_and_the_speed_of_its_clock_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def folder(text: str) -> str:
        monkeypatch.setattr(Path, "read_text", lambda self: text)
        monkeypatch.delenv(VARIABLE, raising=False)
        keep_compiled_code()
        return os.environ[VARIABLE]

    first = folder("model name : A\ncpu MHz : 1000\nflags : avx2\n\nmodel name : A\n")
    assert folder("model name : A\ncpu MHz : 2000\nflags : avx2\n\nmodel name : A\n") == first
    assert folder("model name : A\ncpu MHz : 1000\nflags : avx2 avx512f\n\nmodel name : A\n") != first


def test_a_folder_of_the_users_own_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "/somewhere")
    keep_compiled_code()
    assert os.environ[VARIABLE] == "/somewhere" and not (tmp_path / "cache").exists()


def test_torchs_own_folder_is_used_where_none_can_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    keep_compiled_code()

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(compiled_code, "user_cache", homeless)
    keep_compiled_code()
    assert VARIABLE not in os.environ
