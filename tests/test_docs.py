"""What the documents show runs."""

import doctest
from importlib.metadata import version
from pathlib import Path

import pytest

import lightning_gan
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training

ROOT = Path(__file__).parents[1]


def test_the_page_on_a_new_regularizer_runs() -> None:
    results = doctest.testfile(
        str(ROOT / "CONTRIBUTING.md"),
        module_relative=False,
        optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS,
    )
    assert results.attempted > 10
    assert results.failed == 0


def tree_of(document: str) -> str:
    """The tree of rooms that a document shows."""
    return (ROOT / document).read_text().split("```text\nlightning_gan/\n")[1].split("```")[0]


def test_the_tree_has_a_line_for_every_room() -> None:
    shown = {line.split()[0].rstrip("/") for line in tree_of("CONTRIBUTING.md").splitlines() if line.startswith("  ")}
    package = ROOT / "lightning_gan"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert shown == rooms | files


def test_every_room_says_what_is_inside() -> None:
    rooms = [path for path in (ROOT / "lightning_gan").rglob("__init__.py")]
    assert len(rooms) > 20
    assert [str(path) for path in rooms if not path.read_text().startswith('"""')] == []


def test_a_file_name_stands_for_one_idea() -> None:
    files = [path for path in (ROOT / "lightning_gan").rglob("*.py") if path.name != "__init__.py"]
    # A command is named as what it calls.
    names = [path.name for path in files if path.parent.name != "commands"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_the_package_gives_its_main_names_when_they_are_asked_for() -> None:
    assert lightning_gan.GAN is GAN and lightning_gan.Training is Training
    assert lightning_gan.__version__ == version("lightning-gan")
    with pytest.raises(AttributeError, match="has no attribute 'Loop'"):
        _ = lightning_gan.Loop
