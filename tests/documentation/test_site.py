"""The site is built without a warning and without a network, and a reader's browser fetches nothing from elsewhere."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_gan import callbacks
from tests.documentation.pages import DOCS, ROOT

SHOWN = ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/peers.md")
"""What the site is made of beside docs and the package."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The built site, of a copy of the pages, so that nothing is written into the repository."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, folder / "docs")
    (folder / "lightning_gan").symlink_to(ROOT / "lightning_gan")
    for name in SHOWN:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    program = shutil.which("zensical")
    assert program is not None, "pip install -e '.[dev]'"
    # In a network namespace of its own it has no network. Where that is not allowed, it is built as it is.
    alone = ["unshare", "--map-root-user", "--net"]
    has_namespaces = shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    command = [*(alone if has_namespaces else []), program, "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    yield folder / "site"
    shutil.rmtree(folder)


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS).with_suffix("")
        page = site / name.parent / "index.html" if name.name == "index" else site / name / "index.html"
        assert page.is_file(), name


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for path in pages:
        text = path.read_text()
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]* src="?(https?:[^" >]+)', text)
        fetched += re.findall(
            r'<link[^>]* rel="?(?:stylesheet|preconnect|preload)"?[^>]* href="?(https?:[^" >]+)', text
        )
        assert fetched == [], path
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?https?:", styles) == []


@pytest.mark.slow
def test_the_reference_shows_every_callback_with_its_arguments(site: Path) -> None:
    text = (site / "reference" / "callbacks" / "index.html").read_text()
    for name in callbacks.__all__:
        assert f'id="lightning_gan.callbacks.{name}"' in text, name
    assert "0.0002 * resolution^2" in text  # the description of R1's gamma


@pytest.mark.slow
def test_the_reference_of_a_gan_has_what_models_override_and_what_it_inherits(site: Path) -> None:
    text = (site / "reference" / "lightning_gan" / "index.html").read_text()
    for name in ("draw_rows", "score_turn", "objective", "sample"):
        assert f'id="lightning_gan.GAN.{name}"' in text, name


@pytest.mark.slow
def test_snippets_of_other_files_are_filled_in(site: Path) -> None:
    assert "A new regularizer in one page" in (site / "contributing" / "index.html").read_text()
    assert not any("--8&lt;--" in path.read_text() for path in site.rglob("*.html"))
