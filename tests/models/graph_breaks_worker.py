"""Trains small models with compiled turns, and prints as JSON what became of each kind of turn: `test_graph_breaks.py`.

    python -m tests.models.graph_breaks_worker StyleGAN SNGAN

A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be compiled. Graphs
are run as they are (`aot_eager`), because a graph breaks or not before code is generated from it.
"""

import json
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from lightning_gan.callbacks import R1
from lightning_gan.loop.gan import GAN
from tests.models.test_every_model import MODELS, data_of, small
from tests.toys import toy_trainer


def compiled(kind: type[GAN]) -> dict[str, Any]:
    """Two batches, R1 in the first one: the numbers of kinds of turns, graphs and breaks, and what warnings say."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    began = time.monotonic()
    model = small(kind)
    model.settings = replace(model.settings, compile=True)
    penalties = [R1(gamma=1.0, every_n_turns=2)] if model.settings.discriminator_turns else []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        toy_trainer(*penalties, limit_val_batches=0).fit(model, data_of(model))
    counters = torch._dynamo.utils.counters
    return {
        "kinds": len(model._play_cost._known),
        "graphs": counters["stats"]["unique_graphs"],
        "breaks": sum(counters["graph_break"].values()),
        "eager": [str(warning.message) for warning in told if "cannot be compiled" in str(warning.message)],
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.compile = partial(torch.compile, backend="aot_eager")
    print(json.dumps({kind.__name__: compiled(kind) for kind in MODELS if kind.__name__ in sys.argv[1:]}))
