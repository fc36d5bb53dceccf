"""Names that torch, Lightning and jsonargparse keep private are used in `compat.py` alone."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import lightning_gan
from tests.parts import modules_of

FOLDER = Path(lightning_gan.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*.py") if path.name != "compat.py")
OTHERS = ("torch", "lightning", "jsonargparse", "argparse", "torchmetrics")
OF_NAMED_TUPLES = {"_asdict", "_replace", "_make", "_fields"}  # documented, in spite of their underscore


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore: those with two at both ends are the language's."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def defined_names(tree: ast.Module) -> Iterator[str]:
    """Names that a file gives to functions, classes, variables, and attributes of its own objects."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def borrowed_names(tree: ast.Module, *, own: set[str]) -> Iterator[tuple[int, str]]:
    """Lines and names: imports of private names of other packages, and private attributes that are not `own`."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] != "lightning_gan":
                parts = [*module.split("."), *(alias.name for alias in names)]
                yield from ((node.lineno, f"{module}.{part}") for part in parts if is_private(part))
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names if any(map(is_private, alias.name.split("."))))
            case ast.Attribute(attr=name) if is_private(name) and name not in own | OF_NAMED_TUPLES:
                yield node.lineno, ast.unparse(node)


OWN = {name for tree in TREES.values() for name in defined_names(tree)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_file_uses_no_private_name_of_another_package(path: Path) -> None:
    found = [f"{path}:{line} {name}" for line, name in borrowed_names(TREES[path], own=OWN)]
    assert not found, f"{found}: give it a function with a docstring in compat.py and a test in tests/test_compat.py"


@cache
def names_of_class(kind: type) -> frozenset[str]:
    """Private names that the body of a class defines, or reads from `self`, `cls` or `super()`."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError):  # written in C
        return frozenset()
    assert isinstance(tree, ast.ClassDef)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.fullmatch(r"self|cls|super\(.*\)", ast.unparse(node.value))
    }
    return frozenset(name for name in defined | read if is_private(name))


@pytest.mark.parametrize("name", [name for name in modules_of(lightning_gan) if name != "lightning_gan.compat"])
def test_a_class_shares_no_private_name_with_its_bases_in_other_packages(name: str) -> None:
    """It would override, read or by accident replace what the base class keeps to itself."""
    found = []
    for kind in vars(import_module(name)).values():
        if inspect.isclass(kind) and kind.__module__ == name:
            foreign = [base for base in kind.__mro__ if base.__module__.split(".")[0] in OTHERS]
            shared = names_of_class(kind) & frozenset().union(*(names_of_class(base) for base in foreign))
            found += [f"{kind.__name__}.{private}" for private in sorted(shared)]
    assert not found, f"{name}: {found} are names of a base class too; rename them, or use a function of compat.py"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from torch.nn.modules.batchnorm import _BatchNorm", ["torch.nn.modules.batchnorm._BatchNorm"]),
        ("import torch._dynamo", ["torch._dynamo"]),
        ("from torch._dynamo import config", ["torch._dynamo._dynamo"]),
        ("torch._foreach_lerp_([], [], 1.0)", ["torch._foreach_lerp_"]),
        ("trainer._evaluation_loop.run()", ["trainer._evaluation_loop"]),
        ("optimizer._on_after_step = print", ["optimizer._on_after_step"]),
        ("row._replace(size=1); self._mine; x.__class__; from lightning_gan.losses import _mine", []),
    ],
)
def test_the_check_finds_imports_and_attributes(source: str, names: list[str]) -> None:
    assert [name for _, name in borrowed_names(ast.parse(source), own={"_mine"})] == names


def test_the_check_finds_what_a_class_overrides_and_reads() -> None:
    class Overrides:
        def _given(self) -> object:
            return super()._given(), self._read, self._kept  # type: ignore[misc]

    assert names_of_class(Overrides) == {"_given", "_read", "_kept"}
