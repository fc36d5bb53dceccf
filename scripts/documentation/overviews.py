"""Pages that list what the package has: configurations, commands, and the reference of each room."""

import re
from pathlib import Path

from lightning_gan.cli.commands import command_names, help_of
from lightning_gan.cli.entry import HELP, TRAINER_COMMANDS
from scripts.documentation.facts import DOCS, ROOT, Config, configs
from scripts.documentation.model_pages import cell, table

KINDS = {
    "": "Complete, for the data in the package",
    "paper": "The papers' settings, at full size",
    "addons": "One regularizer, metric or preset, for any configuration",
    "data": "Other data, for any configuration",
    "folder": "Networks for your own images, which `--images` takes",
    "hardware": "Devices and precision",
}
"""What the folders of configurations hold. Other folders are shown under their names."""

NO_DESCRIPTION = {
    "changelog",
    "coming_from",
    "commands",
    "comparing",
    "examples",
    "fidelity",
    "index",
    "results",
    "troubleshooting",
}
"""Pages that name commands without describing them."""


def configurations_page() -> str:
    """All configurations, by kind."""
    by_folder: dict[str, list[Config]] = {}
    for config in configs():
        by_folder.setdefault(config.name.rpartition("/")[0], []).append(config)
    parts = [
        "# Configurations",
        "`python cli.py fit --config NAME` finds these by name, from any directory; a file of that name in the working "
        "directory comes first. Several can be combined, `--config stylegan.yaml --config addons/r2.yaml --config "
        "hardware/bf16.yaml`, and later ones win. [Settings](settings.md) says how single settings are changed.",
    ]
    for folder in sorted(by_folder, key=lambda folder: (list(KINDS).index(folder) if folder in KINDS else 99, folder)):
        rows = [(f"`{config.name}`", cell(config.first_sentence)) for config in by_folder[folder]]
        heading = f"`{folder}/`: {KINDS[folder]}" if folder and folder in KINDS else KINDS.get(folder, f"`{folder}/`")
        parts += [f"## {heading}", table(["configuration", "what it is"], rows)]
    return "\n\n".join(parts) + "\n"


def described_in(command: str) -> list[Path]:
    """The written pages that show a command."""
    forms = (f"cli.py {command} ", f"lightning-gan {command} ", f"`{command} ", f"`{command}`")
    pages = [path for path in sorted(DOCS.glob("*.md")) if path.stem not in NO_DESCRIPTION]
    found = [(sum(path.read_text(encoding="utf-8").count(form) for form in forms), path) for path in pages]
    return [path for count, path in sorted(found, key=lambda item: (-item[0], item[1].name)) if count][:2]


def commands_page() -> str:
    """All commands."""
    lines = [(name, re.findall(rf"(?m)^  {name} +(.+)$", HELP)[0]) for name in TRAINER_COMMANDS]
    lines += [(name, help_of(name)) for name in command_names()]
    rows = []
    for name, line in lines:
        pages = ", ".join(f"[{title_of(path)}]({path.name})" for path in described_in(name))
        rows.append((f"`{name}`", cell(line), pages))
    return (
        "# Commands\n\n`python cli.py COMMAND` in a clone of the repository, and `lightning-gan COMMAND` where the "
        "package is installed, are the same. `COMMAND --help` explains every argument. An error that you can correct "
        "is one line, with exit code 2; `--debug` shows the traceback.\n\n"
        + table(["command", "what it does", "described in"], rows)
        + "\n"
    )


def title_of(path: Path) -> str:
    """The first heading of a page."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if path.is_file() else path.stem


def rooms() -> list[str]:
    """The rooms of the package with a public table of contents, as dotted names."""
    folder = ROOT / "lightning_gan"
    found = [path.parent for path in sorted(folder.glob("*/__init__.py")) if "__all__" in path.read_text("utf-8")]
    return [f"lightning_gan.{path.name}" for path in found]


def reference_pages() -> dict[Path, str]:
    """A page for each room, which mkdocstrings fills on the site.

    The first has what `GAN` inherits, so that the pages of models need not repeat it.
    """
    pages = {}
    for room in ["lightning_gan", *rooms()]:
        name = room.rpartition(".")[2]
        options = "    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
        options += "      inherited_members: true\n" if room == "lightning_gan" else ""
        pages[DOCS / "reference" / f"{name}.md"] = f"# `{room}`\n\n::: {room}\n{options}"
    lines = [f"- [`{room}`]({room.rpartition('.')[2]}.md)" for room in ["lightning_gan", *rooms()]]
    intro = "Every public name with its arguments, by room. On the site these pages are made from the docstrings."
    pages[DOCS / "reference" / "index.md"] = "# Reference\n\n" + intro + "\n\n" + "\n".join(lines) + "\n"
    return pages


def overview_pages() -> dict[Path, str]:
    """All pages of this file, by their paths."""
    return {
        DOCS / "configurations.md": configurations_page(),
        DOCS / "commands.md": commands_page(),
        **reference_pages(),
    }
