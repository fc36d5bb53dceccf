"""The page on what is the authors' has a row for everything, and its measured columns are those of its command."""

import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import lightning_gan.callbacks.evaluation
from lightning_gan import imitation, losses, models, optimizers
from lightning_gan.loop.gan import GAN
from lightning_gan.losses import AdversarialLoss, Divergence
from tests.fidelity import (
    COMMAND,
    DOCUMENT,
    ROOT,
    Recorder,
    cells_of,
    nodes_of,
    parameters_cell,
    renewed,
    shown,
)
from tests.fidelity_rows import COMPARISONS, SIZES
from tests.parts import classes_of, regularizers

MODELS = [kind.__name__ for kind in [*classes_of(models, GAN), *classes_of(imitation, GAN)]]
PARTS = [
    kind.__name__
    for kind in [
        *classes_of(losses, AdversarialLoss, Divergence),
        *regularizers(),
        *classes_of(optimizers, torch.optim.Optimizer),
        *classes_of(lightning_gan.callbacks.evaluation, Callback),
    ]
]


def tables() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The cells of both tables' rows, by the first cell without its code marks."""
    found: list[dict[str, list[str]]] = []
    for line in DOCUMENT.read_text().split("\n"):
        if line.startswith(("| model |", "| part |")):
            found.append({})
        if line.startswith("| "):
            cells = cells_of(line)
            found[-1][cells[0].replace("`", "")] = cells
    first, second = found
    return first, second


def test_the_document_says_by_which_command_it_is_made_and_both_others_link_it() -> None:
    assert f"`{COMMAND}`" in DOCUMENT.read_text()
    assert "docs/fidelity.md" in (ROOT / "README.md").read_text()
    assert "fidelity.md" in (ROOT / "docs" / "results.md").read_text()


def test_every_model_has_a_row() -> None:
    assert len(MODELS) > 20
    assert sorted(MODELS) == sorted(tables()[0].keys() - {"model"})


def test_every_loss_regularizer_optimizer_and_metric_is_in_a_row() -> None:
    assert len(PARTS) > 50
    named = {name for cells in tables()[1].values() for cell in cells[:2] for name in re.findall(r"`(\w+)`", cell)}
    assert [name for name in PARTS if name not in named] == []


def test_no_cell_is_empty_and_every_row_has_all_columns() -> None:
    for table in tables():
        heads, *rows = table.values()
        assert [row[0] for row in rows if len(row) != len(heads) or not all(row)] == []


def test_what_is_measured_has_a_row() -> None:
    first, second = tables()
    assert SIZES.keys() == first.keys() - {"model"}
    assert COMPARISONS.keys() <= first.keys() | second.keys()
    for name, row in COMPARISONS.items():
        cell = first[name][3] if name in first else second[name][2]
        assert re.sub(r" (0|\d(e-\d+)?)(;|$)", r"\3", cell) == "; ".join(comparison.what for comparison in row)


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_those_of_the_networks(name: str) -> None:
    assert tables()[0][name][2] == parameters_cell(name)


def test_tests_that_are_named_exist() -> None:
    for comparison in (each for row in COMPARISONS.values() for each in row):
        text = (ROOT / "tests" / comparison.file).read_text()
        assert [test for test in comparison.tests if f"def test_{test}(" not in text] == []


def test_files_that_are_named_exist() -> None:
    text = DOCUMENT.read_text()
    files = set(re.findall(r"`((?:tests|configs)/[\w/.]+)`", text)) | {
        f"docs/{name}" for name in re.findall(r"\((\w+\.md)\)", text)
    }
    assert len(files) > 40
    assert [name for name in files if not Path(ROOT / name).exists()] == []


def test_only_measured_cells_are_renewed() -> None:
    first = "# A\n\n| model | size | why |\n|---|---|---|\n| `A` | 1 | x |\n| `B` | 2 | y |\n"
    text = f"{first}\n| part | size |\n|---|---|\n| `A` | 3 |"
    new = renewed(text, {"size": {"A": "7"}})
    assert new == text.replace("| 1 |", "| 7 |").replace("| 3 |", "| 7 |")


def test_an_error_is_the_largest_difference_by_the_largest_value_of_a_test() -> None:
    recorder = Recorder()
    recorder.running = "a"
    recorder.note(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]))
    recorder.note(torch.tensor([4.0, torch.inf]), torch.tensor([4.0, torch.inf]))
    recorder.running = "b"
    recorder.note(torch.tensor([10.0]), torch.tensor([5.0]))
    recorder.note([1], [2])  # no arrays
    assert recorder.error(["a"]) == 0.5 / 4
    assert recorder.error(["a", "b"]) == 1.0
    with pytest.raises(ValueError, match="c compares no arrays"):
        recorder.error(["c"])


def test_errors_are_shown_with_one_digit() -> None:
    assert [shown(error) for error in (0.0, 4.4e-7, 9.6e-15, 1.0)] == ["0", "4e-7", "1e-14", "1e0"]


def test_names_of_comparisons_are_those_of_pytest() -> None:
    assert nodes_of(COMPARISONS["DCGAN"][0]) == [
        "tests/models/test_dcgan.py::test_the_networks_compute_what_their_layers_say"
    ]
