"""The navigation of the site, in which models, cards and rooms follow from the package."""

from pathlib import Path

from scripts.documentation.facts import ROOT, model_classes
from scripts.documentation.model_cards import carded
from scripts.documentation.model_pages import page_name
from scripts.documentation.overviews import rooms

SITE = ROOT / "mkdocs.yml"
BEGIN, END = "  # Made from here by `python -m scripts.documentation`:\n", "  # ... to here.\n"


def generated_sections() -> str:
    """The sections of the navigation that follow from the package."""
    models = [f"      - {kind.__name__}: models/{page_name(kind)}" for kind in model_classes()]
    rows = [f"          - {config.stem}: model_cards/{config.stem}.md" for config in carded()]
    reference = [f"      - {room}: reference/{room.rpartition('.')[2]}.md" for room in ["lightning_gan", *rooms()]]
    lines = ["  - Models:", "      - models/index.md", *models]
    lines += ["  - Results:", "      - results.md", "      - fidelity.md", "      - comparing.md"]
    lines += ["      - Model cards:", "          - model_cards/index.md", *rows]
    lines += ["  - Reference:", "      - reference/index.md", *reference]
    return "\n".join(lines) + "\n"


def navigation() -> dict[Path, str]:
    """The site's configuration with these sections renewed."""
    text = SITE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return {SITE: f"{before}{BEGIN}{generated_sections()}{END}{after}"}
