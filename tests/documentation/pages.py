"""The pages, and what stands in their blocks of code."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

FRAGMENT = "A fragment"
"""How the title begins of a block of code that is not run, because something in it is the reader's own."""


class Block(NamedTuple):
    """A block of code: its language, its title ("" without one) and its text."""

    language: str
    title: str
    text: str


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a page."""
    pattern = re.compile(r'^( *)```(\w+)(?: title="([^"]*)")?\n(.*?)^\1```', flags=re.MULTILINE | re.DOTALL)
    found = pattern.findall(path.read_text(encoding="utf-8"))
    return [Block(language, title, re.sub(rf"(?m)^{indent}", "", text)) for indent, language, title, text in found]


def command_lines(text: str) -> list[list[str]]:
    """The arguments of every command line of this package in a text of shell commands."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        match = re.search(r"(?:cli\.py|lightning-gan) (.*)", line)
        if match and not line.lstrip().startswith("#") and "pip install 'lightning-gan" not in line:
            found.append(shlex.split(match[1], comments=True))
    return found


def commands_of(path: Path) -> list[list[str]]:
    """The arguments of every command line that a page shows in blocks of code."""
    fenced = "\n".join(block.text for block in blocks_of(path) if block.language == "sh")
    indented = "\n".join(
        re.findall(r"^    (?:\$ )?(python cli\.py .*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    return command_lines(f"{fenced}\n{indented}")
