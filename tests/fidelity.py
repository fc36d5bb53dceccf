"""Measures how exactly models and formulas equal their references, for docs/fidelity.md: `python -m tests.fidelity`.

It runs the tests that are named in `fidelity_rows`, notes how far the numbers that they compare are apart, counts
parameters, and writes both into the document's columns "parameters" and "largest error". All other columns are written
by hand there.

An error is the largest absolute difference, divided by the largest absolute value of what a test compares. Of several
tests, and of a test's several parameters, it is the largest.
"""

import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from lightning_gan.imitation.imitation_gan import ImitationGAN
from lightning_gan.models.adversarial_inference import GeneratorAndEncoder
from lightning_gan.models.introspective import IntrospectiveGAN
from tests.fidelity_rows import COMPARISONS, SIZES, Comparison, Size
from tests.interop import goldens

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "fidelity.md"
COMMAND = "python -m tests.fidelity"
REWRITE_WARNING = "pytest.PytestAssertRewriteWarning"


def nodes_of(comparison: Comparison) -> list[str]:
    """The tests of a comparison, as pytest names them."""
    return [f"tests/{comparison.file}::test_{test}" for test in comparison.tests]


class Difference(NamedTuple):
    """How far two arrays are apart, and how large the reference is."""

    largest: float
    scale: float


class Recorder:
    """A plugin of pytest that notes the differences of all arrays that each test compares, by the test's name."""

    def __init__(self) -> None:
        self.running = ""
        self.differences: dict[str, list[Difference]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        self.running = item.nodeid
        yield

    def note(self, ours: Any, theirs: Any) -> None:
        """Notes a comparison of floating-point tensors, also in lists and dicts; only finite values count."""
        if isinstance(theirs, dict):
            ours, theirs = [ours[key] for key in theirs], list(theirs.values())
        if isinstance(theirs, (list, tuple)):
            for each in zip(ours, theirs, strict=True):
                self.note(*each)
        if not isinstance(ours, Tensor) or not isinstance(theirs, Tensor) or not theirs.is_floating_point():
            return
        first, second = ours.detach().double(), theirs.detach().double()
        numbers = second.isfinite()
        if numbers.any():
            difference = (first - second)[numbers].abs().max().item()
            found = Difference(difference, second[numbers].abs().max().item())
            self.differences.setdefault(self.running, []).append(found)

    def error(self, nodes: list[str]) -> float:
        """The largest error of some tests.

        Raises:
            ValueError: for a test that compared no arrays.
        """
        errors = []
        for node in nodes:
            found = [each for name, each in self.differences.items() if name.split("[")[0] == node]
            if not found:
                raise ValueError(f"{node} compares no arrays: name a test that does, in tests/fidelity_rows.py")
            for each in found:
                largest, scale = (max(values) for values in zip(*each, strict=True))
                errors.append(largest / scale if largest else 0.0)
        return max(errors)


def measured() -> Recorder:
    """Runs the tests of all comparisons.

    Raises:
        SystemExit: if one of them fails.
    """
    recorder = Recorder()
    plain_error, plain_close = goldens.relative_error, torch.testing.assert_close

    def relative_error(ours: Tensor, theirs: Tensor) -> float:
        recorder.note(ours, theirs)
        return plain_error(ours, theirs)

    def assert_close(actual: Any, expected: Any, **settings: Any) -> None:
        plain_close(actual, expected, **settings)
        recorder.note(actual, expected)

    nodes = sorted({node for row in COMPARISONS.values() for comparison in row for node in nodes_of(comparison)})
    with pytest.MonkeyPatch.context() as patch:
        # Before the tests are imported, which take the function by its name.
        patch.setattr(goldens, "relative_error", relative_error)
        patch.setattr(torch.testing, "assert_close", assert_close)
        patch.chdir(ROOT)
        # Without the project's own options: shapes cannot be checked in a package that is imported already.
        options = ["-o", "addopts=", "-q", "--no-header", "-p", "no:cacheprovider", "-W", f"ignore::{REWRITE_WARNING}"]
        if pytest.main([*nodes, *options], plugins=[recorder]):
            raise SystemExit("a comparison fails: the document is left as it was")
    return recorder


def counts_of(size: Size) -> dict[str, int]:
    """The trained parameters of a model's networks, by the networks' names."""
    with torch.device("meta"):
        module = size.kind(**size.settings)
    networks = {"G": module.generator, "D": module.discriminator}
    if isinstance(module.generator, GeneratorAndEncoder):
        networks = {"G": module.generator.generator, "E": module.generator.encoder, "D": module.discriminator}
    elif isinstance(module, IntrospectiveGAN):
        networks = {"E": module.discriminator, "G": module.generator}
    elif isinstance(module, ImitationGAN):
        networks = {"policy": module.generator, "D": module.discriminator}
    counts = {
        name: sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        for name, network in networks.items()
    }
    return {name: count for name, count in counts.items() if count}


def parameters_cell(row: str) -> str:
    """The numbers of parameters of a row, as the document shows them."""
    cells = []
    for size in SIZES[row]:
        counts = ", ".join(f"{name} {count:,}" for name, count in counts_of(size).items())
        cells.append(f"{size.what}: {counts}")
    return "; ".join(cells)


def shown(error: float) -> str:
    """An error with one digit.

    Example:
        >>> shown(0.0), shown(4.4e-7), shown(2.1e-14)
        ('0', '4e-7', '2e-14')
    """
    digit, _, exponent = f"{error:.0e}".partition("e")
    return f"{digit}e{int(exponent)}" if error else "0"


def error_cell(row: str, recorder: Recorder) -> str:
    """The errors of a row, as the document shows them."""
    return "; ".join(f"{each.what} {shown(recorder.error(nodes_of(each)))}" for each in COMPARISONS[row])


def cells_of(line: str) -> list[str]:
    """The cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def renewed(text: str, columns: Mapping[str, Mapping[str, str]]) -> str:
    """A document whose measured columns are renewed; a row without a new value keeps its cell.

    Args:
        text: the document, in Markdown.
        columns: by the heads of columns, the new cells by the first cell of their row, without its code marks.

    Example:
        >>> print(renewed("| model | size | why |\\n|---|---|---|\\n| `A` | 1 | x |", {"size": {"A": "2"}}))
        | model | size | why |
        |---|---|---|
        | `A` | 2 | x |
    """
    lines, heads = [], []
    for line in text.split("\n"):
        if line.startswith("| "):
            cells = cells_of(line)
            if heads:
                for index, head in enumerate(heads):
                    cells[index] = columns.get(head, {}).get(cells[0].replace("`", ""), cells[index])
                line = f"| {' | '.join(cells)} |"
            else:
                heads = cells
        elif not line.startswith("|"):
            heads = []
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    recorder = measured()
    columns = {
        "parameters": {row: parameters_cell(row) for row in SIZES},
        "largest error": {row: error_cell(row, recorder) for row in COMPARISONS},
    }
    text = renewed(DOCUMENT.read_text(), columns)
    DOCUMENT.write_text(text)
    sys.stdout.writelines(f"{line}\n" for line in text.split("\n") if line.startswith("|"))


if __name__ == "__main__":
    main()
