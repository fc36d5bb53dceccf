"""Files are whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_gan.atomic_files import put_in_place, why_not_writable, written_whole


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    for text in (b"first", b"second"):
        with written_whole(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == text
    assert names(path.parent) == ["a.txt"]


def test_it_is_flushed_before_it_takes_its_name_and_its_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("flush"), flush(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), rename(*names)))
    with written_whole(tmp_path / "a.txt") as file:
        file.write(b"text")
    assert done == ["flush", "rename", "flush"]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), written_whole(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.txt"]


def test_an_error_in_the_flush_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"), written_whole(tmp_path / "a.txt") as file:
        file.write(b"text")
    assert names(tmp_path) == []


def test_drafts_may_lie_in_another_folder(tmp_path: Path) -> None:
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    with written_whole(tmp_path / "a.txt", draft_folder=drafts) as file:
        file.write(b"text")
        assert names(tmp_path) == ["drafts"] and names(drafts) == ["a.txt.unfinished"]
    assert names(tmp_path) == ["a.txt", "drafts"] and names(drafts) == []


def test_a_kill_in_the_middle_leaves_the_old_file_and_the_next_call_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    module = Path(sys.modules[written_whole.__module__].__file__ or "")
    program = f"""
import os, runpy, signal
from pathlib import Path
with runpy.run_path({str(module)!r})["written_whole"](Path({str(path)!r})) as file:
    file.write(b"half"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.txt", "a.txt.unfinished"]
    with written_whole(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_what_is_put_in_place_keeps_the_earlier_one_as_previous(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*names: object) -> None:
        raise OSError("not supported")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path, previous = tmp_path / "a", tmp_path / "b"
    for text in ("1", "2", "3"):
        (tmp_path / "new").write_text(text)
        put_in_place(tmp_path / "new", path, previous=previous)
    assert (path.read_text(), previous.read_text()) == ("3", "2") and names(tmp_path) == ["a", "b"]
    (tmp_path / "new").write_text("4")
    put_in_place(tmp_path / "new", path, previous=None)
    assert (path.read_text(), previous.read_text()) == ("4", "2") and names(tmp_path) == ["a", "b"]


def test_folders_are_put_in_place_as_files_are(tmp_path: Path) -> None:
    path, previous = tmp_path / "a", tmp_path / "b"
    for text in ("1", "2", "3"):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "part").write_text(text)
        put_in_place(tmp_path / "new", path, previous=previous)
    assert ((path / "part").read_text(), (previous / "part").read_text()) == ("3", "2")
    (tmp_path / "new").mkdir()
    put_in_place(tmp_path / "new", path, previous=None)
    assert names(path) == [] and names(tmp_path) == ["a", "b"]


def test_why_a_folder_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    assert why_not_writable(tmp_path / "new" / "folder") is None and names(tmp_path / "new" / "folder") == []
    (tmp_path / "file").touch()
    assert why_not_writable(tmp_path / "file") == f"File exists: {tmp_path / 'file'}"
    assert why_not_writable(tmp_path / "file" / "inside") == f"Not a directory: {tmp_path / 'file' / 'inside'}"
    assert str(why_not_writable(tmp_path / ("a" * 300))).startswith("File name too long: ")
