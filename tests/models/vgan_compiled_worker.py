"""Compares VGAN's turns in one compiled graph with eager, for `test_vgan.py`: the bottleneck and R1 are in them.

A process of its own, run as `python -m tests.models.vgan_compiled_worker FILE`, because the checks of shapes that are
on while tests run cannot be part of a graph.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gan.callbacks import R1, Bottleneck
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.draws import Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import Player
from lightning_gan.models import VGAN, R1ResNet
from tests.toys import toy_trainer

SETTINGS: dict[str, Any] = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "label_dim": 3, "width": 2}


def vgan() -> tuple[GAN, Bottleneck]:
    return VGAN(code_features=5, **SETTINGS), Bottleneck(initial_beta=0.5, beta_step_size=1.0)


def put_in() -> tuple[GAN, Bottleneck]:
    return R1ResNet(**SETTINGS), Bottleneck(
        layer="discriminator.output", code_features=5, initial_beta=0.5, beta_step_size=1.0
    )


CASES: dict[str, tuple[Any, Player]] = {
    "vgan_discriminator": (vgan, "discriminator"),
    "vgan_generator": (vgan, "generator"),
    "put_in_discriminator": (put_in, "discriminator"),
}


def gradients(
    module: GAN, player: Player, due: tuple[Penalty, ...], cost: Any
) -> tuple[list[Tensor], dict[str, float]]:
    """Of the player's parameters after one look at fixed inputs, and the terms."""
    torch.manual_seed(5)
    network = module.discriminator if player == "discriminator" else module.generator
    draws = module.draw_rows(4, torch.Generator().manual_seed(1))
    real = torch.randn(4, 1, 8, 8).requires_grad_(player == "discriminator")
    fake = torch.randn(4, 1, 8, 8) if player == "discriminator" else None
    network.zero_grad()
    terms, *_ = cost(player, due, Reals(images=real, labels=None), draws, fake)
    torch.stack(list(terms.values())).sum().backward()
    return [p.grad.clone() for p in network.parameters() if p.grad is not None], {
        name: term.item() for name, term in terms.items()
    }


def compare(make: Any, player: Player) -> dict[str, Any]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(3)
    module, bottleneck = make()
    trainer = toy_trainer()
    bottleneck.setup(trainer, module, "fit")
    module.train()
    due: tuple[Penalty, ...] = (bottleneck, R1(gamma=1.0)) if player == "discriminator" else ()
    graph = torch.compile(module.cost, fullgraph=True, dynamic=False, backend="aot_eager")
    compiled = torch._dynamo.config.patch(trace_autograd_ops=True)(graph)
    results: dict[str, Any] = {"errors": [], "term_errors": [], "betas": []}
    for _ in range(3):  # beta moves between turns, which must not cost another graph
        before = bottleneck.state.clone()
        eager, eager_terms = gradients(module, player, due, module.cost)
        move(bottleneck, trainer, due)
        eager_beta = bottleneck.beta.item()
        bottleneck.state = before
        ours, terms = gradients(module, player, due, compiled)
        move(bottleneck, trainer, due)
        results["errors"].append(
            max(((a - b).abs().max() / b.abs().max().clamp(min=1e-6)).item() for a, b in zip(ours, eager, strict=True))
        )
        results["term_errors"].append(max(abs(terms[name] - value) for name, value in eager_terms.items()))
        results["betas"].append([eager_beta, bottleneck.beta.item()])
    results["graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    results["breaks"] = len(torch._dynamo.utils.counters["graph_break"])
    return results


def move(bottleneck: Bottleneck, trainer: Any, due: tuple[Penalty, ...]) -> None:
    """What a fit does after the backward, and after the step."""
    bottleneck.on_after_backward(trainer, trainer.lightning_module)
    if bottleneck in due:
        bottleneck.after_step(trainer.strategy)


if __name__ == "__main__":
    torch.set_num_threads(1)
    Path(sys.argv[1]).write_text(json.dumps({name: compare(*case) for name, case in CASES.items()}))
