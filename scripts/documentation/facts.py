"""What the package, its configurations and the measured tables say, as the generated pages need it."""

import ast
import inspect
import re
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import yaml
from lightning.pytorch import LightningModule

from lightning_gan import imitation, models
from lightning_gan.cli.configs import shipped_configs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIGS = ROOT / "configs"


class Config(NamedTuple):
    """A configuration of the package.

    Attributes:
        name: its name for `--config`, such as `paper/dcgan_celeba64.yaml`.
        comment: the lines of the comment at its head, without the marks.
        class_name: name of the model's class; "" in fragments.
        text: the whole file.
    """

    name: str
    comment: list[str]
    class_name: str
    text: str

    @property
    def first_sentence(self) -> str:
        """What the configuration is: the first sentence of its comment, or what stands before the first command."""
        return first_sentence(" ".join(takewhile(lambda line: not line.startswith("python "), self.comment)))

    @property
    def stem(self) -> str:
        return Path(self.name).stem


class Argument(NamedTuple):
    """An argument of a constructor: its name, its default as code ("" if it is required) and what it means."""

    name: str
    default: str
    meaning: str


def first_sentence(text: str) -> str:
    """The first sentence of a text, in which `et al.`, decimals and dots in names do not end a sentence.

    Example:
        >>> first_sentence("DCGAN (Radford et al. 2016, arXiv:1511.06434), narrow. With labels.")
        'DCGAN (Radford et al. 2016, arXiv:1511.06434), narrow.'
    """
    return re.split(r"(?<!al)(?<=[.!?])\s+(?=[A-Z`])", " ".join(text.split()), maxsplit=1)[0]


@cache
def configs() -> list[Config]:
    """Every configuration of the package, by name."""
    found = []
    for name in shipped_configs():
        text = (CONFIGS / name).read_text(encoding="utf-8")
        lines = []
        for line in text.splitlines():
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").strip())
        # The parser written in C, because there are a hundred files.
        model = yaml.load(text, yaml.CSafeLoader).get("model") or {}
        found.append(Config(name, lines, model.get("class_path", "").rsplit(".", 1)[-1], text))
    return found


def model_classes() -> list[type[LightningModule]]:
    """All models: those of images, then those of policies."""
    rooms = [getattr(room, name) for room in (models, imitation) for name in room.__all__]
    found = [kind for kind in rooms if inspect.isclass(kind) and issubclass(kind, LightningModule)]
    return sorted(found, key=lambda kind: (".imitation" in kind.__module__, kind.__name__.lower()))


def module_text(kind: type) -> str:
    """The docstring of a class's module."""
    return inspect.getdoc(sys.modules[kind.__module__]) or ""


def class_text(kind: type) -> str:
    """The docstring of a class without the description of its arguments, as Markdown."""
    text = inspect.getdoc(kind) or ""
    return re.split(r"\n\n?(?:Args|Raises|Attributes|Example):\n", f"\n{text}")[0].strip()


def arguments_of(kind: type) -> list[Argument]:
    """The arguments of a class that its docstring describes, or that of the nearest base that describes some."""
    pattern = re.compile(r"(?:^|\n)Args:\n(.*?)(?:\n\n\S|\n(?:Raises|Example):|\Z)", flags=re.DOTALL)
    sections = [pattern.search(inspect.cleandoc(base.__doc__ or "")) for base in kind.__mro__]
    section = next((found for found in sections if found is not None), None)
    if section is None:
        return []
    parameters = inspect.signature(kind).parameters
    found = []
    for block in re.split(r"\n(?= {4}\w+: )", f"\n{section[1]}"):
        name, _, meaning = block.strip().partition(": ")
        if name in parameters:
            default = parameters[name].default
            shown = "" if default is inspect.Parameter.empty else repr(default)
            found.append(Argument(name, shown if len(shown) < 30 else "", " ".join(meaning.split())))
    return found


def papers_in(text: str) -> list[str]:
    """The arXiv numbers in a text, in order, each once.

    Example:
        >>> papers_in("arXiv:1710.10196, and arXiv:1812.04948v2 (arXiv:1710.10196)")
        ['1710.10196', '1812.04948']
    """
    return list(dict.fromkeys(re.findall(r"arXiv:(\d{4}\.\d{5})", text)))


def as_markdown(text: str) -> str:
    """A docstring as Markdown: lists need a blank line before them."""
    lines: list[str] = []
    for line in text.splitlines():
        if re.match(r"\s*- ", line) and lines and lines[-1].strip() and not re.match(r"\s*(- | {2})", lines[-1]):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def cells_of(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


@cache
def tables_in(document: Path) -> list[list[list[str]]]:
    """The tables of a Markdown file, as rows of cells; the first row has the heads."""
    tables: list[list[list[str]]] = []
    before = ""
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            if not before.startswith("|"):
                tables.append([])
            tables[-1].append(cells_of(line))
        before = line
    return tables


def rows_of(document: Path, first_head: str) -> list[dict[str, str]]:
    """The rows of all tables whose first column has this head, as cells by their heads."""
    tables = [table for table in tables_in(document) if table[0][0] == first_head]
    return [dict(zip(table[0], row, strict=True)) for table in tables for row in table[1:]]


@cache
def overview() -> dict[str, dict[str, str]]:
    """The row of each configuration in the first table of docs/results.md, by the configuration's name."""
    rows: dict[str, dict[str, str]] = {}
    heads, *lines = tables_in(DOCS / "results.md")[0]
    for line in lines:
        for name in re.findall(r"`([\w./]+\.yaml)`", line[0]):
            rows[name] = dict(zip(heads, line, strict=True))
    return rows


class Import(NamedTuple):
    """A module of `interop`.

    Attributes:
        name: name of its file.
        sentence: the first sentence of its docstring.
        sources: the modules of this package from which it takes classes.
    """

    name: str
    sentence: str
    sources: set[str]


@cache
def imports() -> list[Import]:
    """The modules that import other people's weights."""
    found = []
    for path in sorted((ROOT / "lightning_gan" / "interop").glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        statements = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
        sources = {
            str(node.module)
            for node in statements
            if any(alias.name[0].isupper() and not alias.name.isupper() for alias in node.names)
        }
        found.append(Import(path.stem, first_sentence(ast.get_docstring(tree) or ""), sources))
    return found


def interop_of(kind: type) -> list[tuple[str, str]]:
    """The modules that import other people's weights into a model, each with the first sentence of its docstring.

    Such a module takes networks from the model's file, or is named after it.
    """
    file = kind.__module__.rsplit(".", 1)[-1]
    files = {path.stem for path in (ROOT / "lightning_gan" / "models").glob("*.py")}
    found = []
    for module in imports():
        named = max((stem for stem in files if module.name.startswith(stem)), key=len, default="")
        if kind.__module__ in module.sources or named == file:
            found.append((module.name, module.sentence))
    return found
