"""`compile: true`: each player's whole cost is one graph with eager's gradients.

The inner gradients of penalties are part of it.
"""

import pytest
import torch
import torch._inductor.config
from torch import Tensor, nn

from lightning_gan.callbacks import R1, R2
from lightning_gan.game import Penalty, Player
from lightning_gan.models import StyleGAN
from tests.models.test_stylegan import SMALL, loader
from tests.toys import toy_trainer


def small_stylegan() -> StyleGAN:
    torch.manual_seed(0)
    module = StyleGAN(image_size=8, compile=True, **SMALL)
    for name, parameter in module.generator.named_parameters():
        if name.endswith("noise_weight"):  # at 0, the first instance norm divides by its epsilon and magnifies rounding
            nn.init.constant_(parameter, 0.5)
    return module.train()


def gradients(module: StyleGAN, player: Player, due: tuple[Penalty, ...], *, compiled: bool) -> dict[str, Tensor]:
    """Of every parameter of the player, after one look at fixed inputs."""
    torch.manual_seed(5)
    network = module.discriminator if player == "discriminator" else module.generator
    latents, real = torch.randn(4, 8), torch.randn(4, 1, 8, 8).requires_grad_(bool(due))
    fake = torch.randn(4, 1, 8, 8).requires_grad_(bool(due)) if player == "discriminator" else None
    cost = module._play_cost if compiled else module.cost
    network.zero_grad()
    terms = cost(player, due, real, None, latents, fake, None)
    torch.stack(list(terms.values())).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.slow
@torch._inductor.config.patch(fallback_random=True)  # the same noise as eager's
@pytest.mark.parametrize(
    ("player", "due"),
    [("discriminator", (R1(gamma=1.0), R2(gamma=1.0))), ("discriminator", ()), ("generator", ())],
    ids=["critic_with_penalties", "critic", "generator"],
)
def test_one_graph_has_the_gradients_of_eager(player: Player, due: tuple[Penalty, ...]) -> None:
    torch._dynamo.reset()
    module = small_stylegan()
    toy_trainer(limit_train_batches=0).fit(module, loader())  # compilation is set up when a fit begins
    module.train()
    module.grow(8, 0.5)
    torch._dynamo.utils.counters.clear()
    one = gradients(module, player, due, compiled=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    eager = gradients(module, player, due, compiled=False)
    assert one.keys() == eager.keys()
    for name, gradient in eager.items():
        error = (one[name] - gradient).abs().max() / gradient.abs().max().clamp(min=1e-3)
        assert error < 1e-5, name
    module.grow(8, 0.75)  # another weight of the new blocks is no new graph
    gradients(module, player, due, compiled=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
