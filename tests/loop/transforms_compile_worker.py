"""Compiles the cost of turns with transforms and prints, as JSON, how it compares with eager: `test_transforms.py`.

A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be compiled.
"""

import json

import torch
from torch import Tensor

from lightning_gan.callbacks import R1
from lightning_gan.callbacks.regularizers.instance_noise import GaussianNoise
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import PLAYERS, Player
from tests.loop.transforms import Uphill
from tests.toys import LATENT, toy_gan


def gradients(module: GAN, player: Player, cost: object) -> list[Tensor]:
    torch.manual_seed(5)
    real, fake = torch.randn(2, 4, 1, 4, 4)
    due: tuple[Penalty, ...] = (R1(gamma=1.0),) if player == "discriminator" else ()
    reals = Reals(images=real.requires_grad_(bool(due)), labels=None)
    draws = Draws(latents=torch.randn(4, LATENT).requires_grad_(), labels=None)
    network = module.discriminator if player == "discriminator" else module.generator
    network.zero_grad()
    terms, *_ = cost(player, due, reals, draws, fake if player == "discriminator" else None)  # type: ignore[operator]
    torch.stack(list(terms.values())).sum().backward()
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def compare(player: Player) -> dict[str, float]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    module = toy_gan().train()
    noise = GaussianNoise(standard_deviation=0.5)
    module.image_transforms.append(noise)
    module.latent_transforms.append(Uphill())
    graph = torch.compile(module.cost, fullgraph=True, dynamic=False, backend="aot_eager")
    compiled = torch._dynamo.config.patch(trace_autograd_ops=True)(graph)
    ours = gradients(module, player, compiled)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    eager = gradients(module, player, module.cost)
    noise.sigma.fill_(0.25)  # the clock moves on, which must not cost another graph
    gradients(module, player, compiled)
    errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, eager, strict=True)]
    return {
        "graphs": graphs,
        "breaks": len(torch._dynamo.utils.counters["graph_break"]),
        "largest_relative_error": max(errors),
        "graphs_after_other_noise": torch._dynamo.utils.counters["stats"]["unique_graphs"],
    }


if __name__ == "__main__":
    print(json.dumps({player: compare(player) for player in PLAYERS}))
