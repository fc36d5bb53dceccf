"""All generated pages, and the marks by which they are known."""

from pathlib import Path

from scripts.documentation.facts import DOCS
from scripts.documentation.model_cards import model_cards
from scripts.documentation.model_pages import model_pages, thumbnail
from scripts.documentation.overviews import overview_pages
from scripts.documentation.readme import README, readme
from scripts.documentation.site import navigation

COMMAND = "python -m scripts.documentation"
MARK = f"<!-- Made by `{COMMAND}`; change its sources instead. -->"


def pages() -> dict[Path, str]:
    """The text of every generated file, by its path."""
    return {**model_pages(), **overview_pages(), **model_cards(), **navigation(), **readme()}


def marked(path: Path, text: str) -> str:
    """The text with a comment at its end that says how it was made; of the README and of other files, the text."""
    return f"{text}\n{MARK}\n" if path.suffix == ".md" and path != README else text


def is_generated(path: Path) -> bool:
    """Whether a page was made by the command."""
    return MARK in path.read_text(encoding="utf-8")


def thumbnails_missing() -> list[Path]:
    """Pictures of samples and reconstructions without a thumbnail."""
    pictures = [*(DOCS / "images").glob("*_digits.png"), *(DOCS / "images").glob("*_reconstructions.png")]
    return [path for path in sorted(pictures) if not thumbnail(path).is_file()]
