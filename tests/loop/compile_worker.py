"""Compiles the cost of StyleGAN's turns and prints, as JSON, how it compares with eager: `test_compile.py` reads it.

A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be compiled.
"""

import json

import torch
import torch._inductor.config
from torch import Tensor, nn

from lightning_gan.callbacks import R1, R2
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player
from lightning_gan.models import StyleGAN
from tests.models.test_stylegan import SMALL, loader
from tests.toys import toy_trainer

CASES: dict[str, tuple[Player, tuple[Penalty, ...]]] = {
    "critic_with_penalties": ("discriminator", (R1(gamma=1.0), R2(gamma=1.0))),
    "critic": ("discriminator", ()),
    "generator": ("generator", ()),
}


def small_stylegan() -> StyleGAN:
    torch.manual_seed(0)
    module = StyleGAN(image_size=8, training=Training(compile=True), **SMALL)
    for name, parameter in module.generator.named_parameters():
        if name.endswith("noise_weight"):  # at 0, the first instance norm divides by its epsilon and magnifies rounding
            nn.init.constant_(parameter, 0.5)
    toy_trainer(limit_train_batches=0).fit(module, loader())  # compilation is set up when a fit begins
    return module.train()


def gradients(module: StyleGAN, player: Player, due: tuple[Penalty, ...], *, compiled: bool) -> dict[str, Tensor]:
    """Of every parameter of the player, after one look at fixed inputs."""
    torch.manual_seed(5)
    network = module.discriminator if player == "discriminator" else module.generator
    latents, real = torch.randn(4, 8), torch.randn(4, 1, 8, 8).requires_grad_(bool(due))
    fake = torch.randn(4, 1, 8, 8).requires_grad_(bool(due)) if player == "discriminator" else None
    cost = module._play_cost if compiled else module.cost
    network.zero_grad()
    terms, *_ = cost(player, due, Reals(images=real, labels=None), Draws(latents=latents, labels=None), fake)
    torch.stack(list(terms.values())).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def compare(player: Player, due: tuple[Penalty, ...]) -> dict[str, float]:
    torch._dynamo.reset()
    module = small_stylegan()
    module.grow(8, 0.5)
    torch._dynamo.utils.counters.clear()
    one = gradients(module, player, due, compiled=True)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    eager = gradients(module, player, due, compiled=False)
    assert one.keys() == eager.keys()
    errors = [((one[k] - g).abs().max() / g.abs().max().clamp(min=1e-3)).item() for k, g in eager.items()]
    module.grow(8, 0.75)  # another weight of the new blocks
    gradients(module, player, due, compiled=True)
    return {
        "graphs": graphs,
        "breaks": len(torch._dynamo.utils.counters["graph_break"]),
        "largest_relative_error": max(errors),
        "graphs_after_another_weight": torch._dynamo.utils.counters["stats"]["unique_graphs"],
    }


if __name__ == "__main__":
    with torch._inductor.config.patch(fallback_random=True):  # the same noise as eager's
        print(json.dumps({name: compare(player, due) for name, (player, due) in CASES.items()}))
