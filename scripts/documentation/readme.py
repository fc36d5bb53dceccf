"""The README's table of small pictures: one for each configuration for the digits that has a picture."""

import re
from pathlib import Path

from scripts.documentation.facts import ROOT, configs, model_classes, overview
from scripts.documentation.model_pages import page_name, pictures_of, table, thumbnail

README = ROOT / "README.md"
BEGIN, END = "<!-- models: made by `python -m scripts.documentation` -->\n", "<!-- models: end -->\n"

COLUMNS = 6
"""Number of pictures in a row, each 128 pixels wide."""


def cells() -> list[str]:
    """A small picture, its configuration and the result, in the order of the table of results."""
    kinds = {kind.__name__: kind for kind in model_classes()}
    found = []
    for config in sorted(
        configs(), key=lambda config: list(overview()).index(config.name) if config.name in overview() else 99
    ):
        if config.name not in overview():
            continue
        kind = kinds[config.class_name]
        small = [
            path for path in pictures_of(kind) if path.stem.startswith(f"{config.stem}_") and thumbnail(path).is_file()
        ]
        small = [path for path in small if path.stem.endswith("_digits")] or small
        if small:
            page, measured = f"docs/models/{page_name(kind)}", list(overview()[config.name].values())[3]
            floor = re.search(r"\(([\d.]+)\)", measured)
            image = f"[![{config.stem}](docs/images/thumbnails/{small[0].name})]({page})"
            found.append(f"{image}<br>`{config.name}`" + (f"<br>{floor[1]}" if floor else ""))
    return found


def readme() -> dict[Path, str]:
    """The README with its table renewed."""
    every = cells()
    every += [""] * (-len(every) % COLUMNS)
    rows = [tuple(every[start : start + COLUMNS]) for start in range(0, len(every), COLUMNS)]
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return {README: f"{before}{BEGIN}\n{table([''] * COLUMNS, rows)}\n\n{END}{after}"}
