"""Trains a module whose networks are compiled, with penalties as callbacks and by hand, and writes the differences.

A process of its own, because a checker of shapes within the tests would break the graphs: `test_compiled.py` starts it.
"""

import json
import sys
from pathlib import Path

import torch
from lightning.pytorch import LightningModule

from lightning_gan.callbacks.regularizers.gradient_penalty import R1, R2
from tests.foreign.comparison import MODULES, error, r1, r2, trained


def in_place(module: LightningModule) -> None:
    for network in module.children():
        network.compile(backend="aot_eager", fullgraph=True)


def wrapped(module: LightningModule) -> None:
    module.netD = torch.compile(module.netD, backend="aot_eager")  # type: ignore[assignment, arg-type]
    module.netG = torch.compile(module.netG, backend="aot_eager")  # type: ignore[assignment, arg-type]


def main(file: Path) -> None:
    names = MODULES["detaching"][1]
    found = {}
    for way in (in_place, wrapped):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        ours = trained("detaching", R1(gamma=10.0, **names), R2(gamma=10.0, **names), prepare=way)  # type: ignore[arg-type]
        found[way.__name__] = {
            "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
            "error": error(ours, trained("detaching", by_hand=[r1, r2])),
            "effect": error(ours, trained("detaching")),
        }
    file.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
