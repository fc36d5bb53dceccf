"""Whatever is in a folder is found elsewhere too: in tables of contents, tests, configurations and documents."""

import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn

from lightning_gan import (
    augmentations,
    callbacks,
    data,
    imitation,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    penalties,
    schedules,
)
from lightning_gan.callbacks import R1, Penalty
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.losses import AdversarialLoss, Divergence, Hinge, RelativisticAverage
from lightning_gan.losses.base import AdversarialLoss as Base
from lightning_gan.schedules import Schedule
from tests.parts import classes_of, is_abstract, made, renamed_networks

ROOT = Path(__file__).parents[1]

ROOMS: dict[ModuleType, tuple[type, ...]] = {
    callbacks: (Callback,),
    data: (LightningDataModule,),
    imitation: (LightningModule, LightningDataModule, Callback),
    losses: (AdversarialLoss, Divergence),
    metrics: (nn.Module,),
    models: (LightningModule,),
    optimizers: (torch.optim.Optimizer,),
    schedules: (Schedule,),
}
"""What is named in configurations, and therefore belongs into the table of contents, of each room that has one."""

PARTS = [(room, kind) for room, kinds in ROOMS.items() for kind in classes_of(room, *kinds)]
MODELS = [kind for room in (models, imitation) for kind in classes_of(room, LightningModule)]
CONFIGS = [shipped_folder() / name for name in shipped_configs()]


def words_of(*paths: Path) -> set[str]:
    """Every word in some files."""
    return {word for path in paths for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(("room", "kind"), PARTS, ids=lambda value: value.__name__)
def test_it_is_in_its_rooms_table_of_contents(room: ModuleType, kind: type) -> None:
    assert kind.__name__ in room.__all__, (
        f"{kind.__name__} of {kind.__module__} is missing in {room.__name__}: import it in its __init__.py, and add it "
        "to __all__ there. (A class that is only a base leaves a method abstract; a helper's name begins with _.)"
    )
    assert getattr(room, kind.__name__) is kind


@pytest.mark.parametrize("room", [*ROOMS, penalties, layers, augmentations], ids=lambda room: room.__name__)
def test_a_table_of_contents_names_what_is_there_once(room: ModuleType) -> None:
    names = list(room.__all__)
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(room, name)] == []


TESTED = words_of(*(path for path in (ROOT / "tests").rglob("*.py") if path.name not in ("parts.py", "test_parts.py")))


@pytest.mark.parametrize("kind", [kind for _, kind in PARTS])
def test_a_test_names_it(kind: type) -> None:
    folder = kind.__module__.split(".")[1]
    assert kind.__name__ in TESTED, f"{kind.__name__} has no test: add one in tests/{folder}/"


@pytest.mark.parametrize("kind", MODELS)
def test_rule_of_three(kind: type) -> None:
    """A model has a configuration and a test beside its file; its line in the table of contents is tested above."""
    name, file = kind.__name__, kind.__module__.rsplit(".", 1)[-1]
    assert name in words_of(*CONFIGS), f"no configuration names {name}: add configs/{file}.yaml with class_path: {name}"
    folder = ROOT / "tests" / kind.__module__.split(".")[1]
    if kind.__module__.startswith("lightning_gan.models."):
        assert (folder / f"test_{file}.py").is_file(), f"{name} has no test: add {folder.name}/test_{file}.py to tests/"
    else:
        assert name in words_of(*folder.glob("test_*.py")), f"{name} has no test in tests/{folder.name}/"


# ---------------------------------------------------------------------- how parts are found


def test_bases_are_no_parts() -> None:
    assert is_abstract(Base) and is_abstract(Penalty) and not is_abstract(Hinge)
    found = classes_of(losses, AdversarialLoss)
    assert Hinge in found and RelativisticAverage in found and Base not in found
    assert all(not kind.__subclasses__() or kind in found for kind in found)


def test_arguments_that_are_missing_are_asked_for_in_one_place() -> None:
    class NeedsMore:
        def __init__(self, *, width: int, depth: int = 1) -> None:
            self.sizes = (width, depth)

    with pytest.raises(ValueError, match=r"NeedsMore needs width: add a line to ARGUMENTS in tests/parts\.py"):
        made(NeedsMore)
    assert made(NeedsMore, width=3).sizes == (3, 1)


def test_settings_follow_the_names_of_networks() -> None:
    names = {"generator": "netG", "discriminator": "netD"}
    assert renamed_networks(R1, names) == names
    assert renamed_networks(callbacks.PathLength, names) == {
        **names,
        "mapping": "netG.mapping",
        "synthesis": "netG.synthesis",
    }
