"""Every file is decoded once before training, and that is remembered for as long as the files stay the same."""

import os
import shutil
from pathlib import Path

import pytest

from lightning_gan.data import ImageFiles, ImageFolder, checked_files
from lightning_gan.data.checked_files import check_once
from tests.data.data_sets import SIZE, folder_of, image, zip_of

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checked_files, "user_cache", lambda: tmp_path / "user_cache")
    return tmp_path / "user_cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are decoded."""
    names: list[str] = []
    original = ImageFiles._decoded

    def watched(files: ImageFiles, name: str, resolutions: list[int]) -> list[object]:
        names.append(name)
        return original(files, name, resolutions)  # type: ignore[return-value]

    monkeypatch.setattr(ImageFiles, "_decoded", watched)
    return names


def files_of(path: Path) -> ImageFiles:
    return ImageFiles(path=path, image_size=SIZE, image_channels=3)


def damage(path: Path) -> None:
    """Makes one image of a folder or zip unreadable, which neither names nor sizes tell."""
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\x89XYZ", 1))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def test_good_files_are_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    path = folder_of(tmp_path / "d", NAMES)
    for _ in range(3):
        check_once(files_of(path))
    assert sorted(decoded) == list(NAMES)


def test_broken_files_are_decoded_and_named_again(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", NAMES, others={"d.png": image()[:-30]})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 of 4 images in .*\n  d\.png"):
            check_once(files_of(path))


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_changed_files_are_decoded_again(tmp_path: Path, make: object, decoded: list[str]) -> None:
    assert make in (folder_of, zip_of)
    path = (folder_of if make is folder_of else zip_of)(tmp_path / "d.zip", NAMES)
    check_once(files_of(path))
    damage(path / "b.png" if make is folder_of else path)
    with pytest.raises(ValueError, match=r"1 of 3 images in .*\n  [ab]\.png: "):
        check_once(files_of(path))
    assert len(decoded) == 6


def test_a_copy_elsewhere_is_checked_itself(tmp_path: Path, decoded: list[str]) -> None:
    path = folder_of(tmp_path / "d", NAMES)
    check_once(files_of(path))
    shutil.copytree(path, tmp_path / "copy", copy_function=shutil.copy2)
    check_once(files_of(tmp_path / "copy"))
    assert len(decoded) == 6


def test_a_place_that_cannot_be_written_to_is_no_error(tmp_path: Path, user_cache: Path, decoded: list[str]) -> None:
    user_cache.write_text("a file where the folder should be")
    path = folder_of(tmp_path / "d", NAMES)
    for _ in range(2):
        check_once(files_of(path))
    assert len(decoded) == 6


def test_a_user_without_a_home_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(checked_files, "user_cache", homeless)
    check_once(files_of(folder_of(tmp_path / "d", NAMES)))
    assert sorted(decoded) == list(NAMES)


def test_images_in_memory_are_decoded_for_that_alone(tmp_path: Path, decoded: list[str], user_cache: Path) -> None:
    data = ImageFolder(path=folder_of(tmp_path / "d", NAMES), image_size=SIZE)
    data.prepare_data()
    data.setup("fit")
    assert sorted(decoded) == list(NAMES) and not user_cache.exists()


def test_the_folder_of_caches_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert checked_files.user_cache() == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert checked_files.user_cache() == Path.home() / ".cache"
