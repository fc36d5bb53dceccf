"""Every public part has its place in the documentation: a page, a heading or a row of a table, and not only a word."""

import inspect
import re
from types import ModuleType

import pytest
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.optim import Optimizer

from lightning_gan import callbacks, data, imitation, losses, metrics, models, optimizers, schedules
from lightning_gan.cli.commands import command_names
from lightning_gan.cli.entry import TRAINER_COMMANDS
from scripts.documentation.pages import is_generated
from tests.documentation.pages import DOCS, blocks_of, commands_of, name_of

HAND_WRITTEN = [path for path in sorted(DOCS.glob("*.md")) if not is_generated(path)]


def public(room: ModuleType, *, inside: str = "", kinds: tuple[type, ...] = ()) -> list[str]:
    """The names in a room's table of contents, of some kinds, from files whose dotted name begins so."""
    found = []
    for name in room.__all__:
        part = getattr(room, name)
        if part.__module__.startswith(f"{room.__name__}{inside}"):
            if not kinds or (inspect.isclass(part) and issubclass(part, kinds)):
                found.append(name)
    return found


REGULARIZERS = public(callbacks, inside=".regularizers")

PLACES = {
    "regularizers.md": [*REGULARIZERS, "Penalty"],
    "callbacks.md": [name for name in callbacks.__all__ if name not in REGULARIZERS],
    "losses.md": losses.__all__,
    "optimizers.md": [
        *public(optimizers, kinds=(Optimizer,)),
        *(name for name in schedules.__all__ if name not in ("Growth", "LearningRateSchedule", "Schedule")),
    ],
    "evaluation.md": [
        *public(callbacks, inside=".evaluation"),
        *(name for name in ("DigitFeatures", "InceptionFeatures") if name in public(metrics, kinds=(nn.Module,))),
    ],
    "data_sets.md": public(data, kinds=(LightningDataModule,)),
    "imitation.md": imitation.__all__,
}
"""On which page the parts of each room are described. What is new in a room is asked for by the tests below."""


def described(page: str) -> set[str]:
    """The names that stand as code in a table, a heading or a sentence of a page, blocks of code left out."""
    text = re.sub(r"^( *)```.*?^\1```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}


@pytest.mark.parametrize("page", PLACES)
def test_every_part_is_described_on_the_page_of_its_room(page: str) -> None:
    missing = sorted(set(PLACES[page]) - described(page) - ({"GANData"} if page == "data_sets.md" else set()))
    assert not missing, f"docs/{page} says nothing of {', '.join(missing)}: add a row or a sentence"


@pytest.mark.parametrize(
    "name", [*public(models, kinds=(LightningModule,)), *public(imitation, kinds=(LightningModule,))]
)
def test_every_model_has_a_page(name: str) -> None:
    assert (DOCS / "models" / f"{name.lower()}.md").is_file(), "python -m scripts.documentation makes it"


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_has_a_row_with_its_formula_or_its_effect(name: str) -> None:
    rows = [line for line in (DOCS / "regularizers.md").read_text().splitlines() if re.match(rf"\|[^|]*`{name}`", line)]
    assert rows, f"docs/regularizers.md: add a row | `{name}` (its defaults) | what it adds | paper |"
    assert all(len(cell.strip()) > 2 for row in rows for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("command", [*TRAINER_COMMANDS, *command_names()])
def test_every_command_is_shown_on_a_written_page(command: str) -> None:
    shown = [path for path in HAND_WRITTEN if any(command in line[:1] for line in commands_of(path))]
    named = [
        path
        for path in HAND_WRITTEN
        if re.search(rf"`(?:python cli\.py |lightning-gan )?{command}\b", path.read_text())
    ]
    assert shown or named, f"no page says what `{command}` does"


def test_every_metric_function_is_in_the_reference() -> None:
    assert "::: lightning_gan.metrics" in (DOCS / "reference" / "metrics.md").read_text()


def test_the_description_of_a_part_is_no_block_of_code() -> None:
    path = DOCS / "regularizers.md"
    assert any(block.language == "python" for block in blocks_of(path))
    assert "Trainer" not in described("regularizers.md") and "R1" in described("regularizers.md")


def test_names_of_pages_are_short_and_plain() -> None:
    assert [name_of(path) for path in DOCS.glob("*.md") if not re.fullmatch(r"[a-z_]+\.md", path.name)] == []
    assert all(path.read_text().startswith(("# ", "--8<-- ", "---\n")) for path in DOCS.rglob("*.md"))
