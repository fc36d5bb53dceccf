"""The generated pages are those of the present code, and nothing is left out of the navigation."""

import re

import pytest
import yaml
from PIL import Image

from lightning_gan.cli.configs import shipped_configs
from scripts.documentation.facts import as_markdown, cells_of, first_sentence, model_classes
from scripts.documentation.model_pages import page_name, pictures_of, thumbnail
from scripts.documentation.pages import COMMAND, is_generated, marked, pages, thumbnails_missing
from scripts.documentation.thumbnails import SIDE, thumbnail_of
from tests.documentation.pages import DOCS, ROOT, name_of

PAGES = pages()


def test_generated_pages_are_those_of_the_present_code() -> None:
    changed = [
        name_of(path) for path, text in PAGES.items() if not path.is_file() or path.read_text() != marked(path, text)
    ]
    assert changed == [], f"these do not fit the code any more; write them anew with: {COMMAND}"


def test_pages_of_parts_that_are_gone_are_gone() -> None:
    generated = {path for path in DOCS.rglob("*.md") if is_generated(path)}
    assert sorted(map(name_of, generated - PAGES.keys())) == []


def test_every_picture_of_samples_has_a_small_square_version() -> None:
    assert thumbnails_missing() == []
    for path in (DOCS / "images" / "thumbnails").glob("*.png"):
        with Image.open(path) as small:
            assert small.size == (SIDE, SIDE)
        assert path.stat().st_size < 10_000
        assert (DOCS / "images" / path.name).is_file()


def test_a_thumbnail_shows_four_by_four_of_eight_by_eight_samples() -> None:
    sheet = Image.new("L", (512, 512))
    sheet.paste(255, (0, 0, 256, 256))
    assert thumbnail_of(sheet).getextrema() == (255, 255)


def in_navigation(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    if isinstance(entries, dict):
        entries = list(entries.values())
    assert isinstance(entries, list)
    return [name for entry in entries for name in in_navigation(entry)]


def test_every_page_is_in_the_navigation_once() -> None:
    named = in_navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_every_model_page_has_its_papers_its_settings_and_what_is_verified() -> None:
    for kind in model_classes():
        text = (DOCS / "models" / page_name(kind)).read_text()
        assert "https://arxiv.org/abs/" in text, kind
        assert "## Settings" in text and "## What is verified, and what differs" in text, kind
        assert all(f"images/{path.name}" in text for path in pictures_of(kind))


def test_the_readme_shows_every_small_picture() -> None:
    shown = set(re.findall(r"docs/images/thumbnails/(\w+\.png)", (ROOT / "README.md").read_text()))
    samples = {path.name for path in (DOCS / "images" / "thumbnails").glob("*_digits.png")}
    assert samples <= shown
    assert all(thumbnail(DOCS / "images" / name).is_file() for name in shown)


def test_every_configuration_is_listed_with_a_sentence() -> None:
    text = (DOCS / "configurations.md").read_text()
    for name in shipped_configs():
        assert re.search(rf"\| `{re.escape(name)}` \| \w.{{15,}} \|", text), name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One."),
        ("A (Karras et al. 2019, arXiv:1812.04948), narrow. More", "A (Karras et al. 2019, arXiv:1812.04948), narrow."),
        ("At 0.5 of\nit. `b` is", "At 0.5 of it."),
    ],
)
def test_a_sentence_ends_where_a_reader_ends_it(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_lists_in_docstrings_become_lists() -> None:
    assert as_markdown("Text:\n- one\n  more\n- two") == "Text:\n\n- one\n  more\n- two"


def test_empty_cells_of_a_table_stay_cells() -> None:
    assert cells_of("| a | | c |") == ["a", "", "c"]
