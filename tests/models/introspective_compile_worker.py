"""Compiles the cost of introspective turns and prints, as JSON, how it compares with eager: `test_introspective.py`.

A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be compiled. What a
graph takes in and what it leaves behind is dynamo's business, so that graphs are run as they are; writing kernels for
all of them would take many minutes on a CPU. `python -m tests.models.introspective_compile_worker inductor` does it.
"""

import json
import sys
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_gan.loop.settings import Training
from lightning_gan.models import IntroVAE, SoftIntroVAE
from lightning_gan.models.introspective import IntrospectiveGAN
from tests.models.introspective_steps import SMALL, sgd
from tests.models.training import random_loader
from tests.toys import Spy, toy_trainer


def played(model: type[IntrospectiveGAN], *, compiled: bool, slices: int, warmup: float) -> dict[str, Any]:
    """Gradients of three batches before each step, and how many graphs were made."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(0)
    module = model(
        training=Training(
            generator_optimizer=sgd, discriminator_optimizer=sgd, compile=compiled, accumulate_slices=slices
        ),
        vae_warmup_kimg=warmup,
        **SMALL,
    ).double()
    gradients: list[dict[str, Tensor]] = []

    def see(player: str, gan: Any) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters()})

    toy_trainer(Spy(see), precision="64-true").fit(module, random_loader(size=8, count=12))
    stats, breaks = torch._dynamo.utils.counters["stats"], torch._dynamo.utils.counters["graph_break"]
    return {"gradients": gradients, "graphs": stats["unique_graphs"], "breaks": len(breaks)}


def compare(model: type[IntrospectiveGAN], *, slices: int = 1, warmup: float = 0.0) -> dict[str, float]:
    eager, one = (played(model, compiled=compiled, slices=slices, warmup=warmup) for compiled in (False, True))
    errors = [
        ((ours[name] - gradient).abs().max() / gradient.abs().max().clamp(min=1e-9)).item()
        for theirs, ours in zip(eager["gradients"], one["gradients"], strict=True)
        for name, gradient in theirs.items()
    ]
    return {"graphs": one["graphs"], "breaks": one["breaks"], "largest_relative_error": max(errors)}


if __name__ == "__main__":
    torch.compile = partial(torch.compile, backend=sys.argv[1] if len(sys.argv) > 1 else "aot_eager")
    results = {
        "introvae": compare(IntroVAE),
        "slices": compare(IntroVAE, slices=4),
        "warmup": compare(IntroVAE, warmup=0.004),
        "soft": compare(SoftIntroVAE),
    }
    print(json.dumps(results))
