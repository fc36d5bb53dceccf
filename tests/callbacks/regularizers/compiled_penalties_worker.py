"""Compares each penalty of the critic in one compiled graph with eager, for `test_compiled_penalties.py`.

A process of its own, run as `python -m tests.callbacks.regularizers.compiled_penalties_worker FILE`, because the checks
of shapes that are on while tests run cannot be part of a graph.
"""

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks.regularizers.adaptive_augmentation import AdaptiveAugmentation
from lightning_gan.callbacks.regularizers.approximated_gradient_penalty import FiniteDifferenceR1, FiniteDifferenceR2
from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.callbacks.regularizers.gradient_penalty import (
    DRAGAN,
    R1,
    R2,
    DivergencePenalty,
    Drift,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
)
from lightning_gan.callbacks.regularizers.roth import AnnealedNoisePenalty, Roth, RothFGAN
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.losses.divergences import GoodfellowDivergence
from tests.callbacks.regularizers.test_consistency_term import DropoutCritic
from tests.toys import ToyGenerator

CASES: dict[str, Penalty] = {
    "r1": R1(),
    "r2": R2(),
    "r1_of_a_half": R1(batch_share=0.5),
    "r2_of_a_half": R2(batch_share=0.5),
    "finite_difference_r1": FiniteDifferenceR1(),
    "finite_difference_r2": FiniteDifferenceR2(),
    "finite_difference_r1_of_a_half": FiniteDifferenceR1(batch_share=0.5),
    "finite_difference_r1_of_a_normalized_critic": FiniteDifferenceR1(),
    "wgan_gp": GradientPenalty(),
    "wgan_lp": LipschitzPenalty(),
    "zero_gp": ZeroCenteredGradientPenalty(),
    "wgan_div": DivergencePenalty(),
    "dragan": DRAGAN(),
    "drift": Drift(weight=1.0),
    "roth": Roth(),
    "roth_f_gan": RothFGAN(divergence=GoodfellowDivergence()),
    "ct": ConsistencyTerm(weight=20.0),
    "adaptive_augmentation": AdaptiveAugmentation(
        initial_probability=0.5, groups=AugmentationGroups(filter=1.0, noise=1.0, cutout=1.0)
    ),
    "ct_with_features": ConsistencyTerm(weight=20.0, features="hidden", dropout={"conv": 0.2}),
}


def gradients(module: GAN, due: tuple[Penalty, ...], cost: Callable[..., dict[str, Tensor]]) -> list[Tensor]:
    """Of the critic's parameters, after one look at fixed inputs."""
    torch.manual_seed(5)
    latents, real, fake = torch.randn(4, 4), torch.randn(4, 1, 4, 4), torch.randn(4, 1, 4, 4)
    real.requires_grad_(any(penalty.differentiates_real for penalty in due))
    fake.requires_grad_(any(penalty.differentiates_fake for penalty in due))
    module.discriminator.zero_grad()
    terms, *_ = cost("discriminator", due, Reals(images=real, labels=None), Draws(latents=latents, labels=None), fake)
    torch.stack(list(terms.values())).sum().backward()
    return [p.grad.clone() for p in module.discriminator.parameters() if p.grad is not None]


def distance(first: list[Tensor], second: list[Tensor]) -> float:
    """Largest difference, relative to each parameter's largest gradient."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(first, second, strict=True))


def without_all(module: GAN) -> list[Tensor]:
    """The gradients without penalties and transforms."""
    transforms, module.image_transforms = module.image_transforms, torch.nn.ModuleList()
    found = gradients(module, (), module.cost)
    module.image_transforms = transforms
    return found


def compare(penalty: Penalty, *, normalized: bool) -> dict[str, Any]:
    """Errors and numbers of graphs for one penalty, with a spectrally normalized critic or without."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(3)
    critic = DropoutCritic()
    critic.dropout.p = 0.5 if isinstance(penalty, ConsistencyTerm) else 0.0
    with torch.no_grad():
        for parameter in critic.parameters():  # slopes above 1
            parameter.mul_(4)
    if normalized:
        assert isinstance(penalty, FiniteDifferenceR1)
        spectrally_normalized(critic)
        penalty._has_computed_weights = True  # as fit finds out
        with torch.no_grad():
            for parameter in critic.parameters():  # the power iteration has a way to go
                parameter.add_(torch.randn_like(parameter))
    module = GAN(generator=ToyGenerator(), discriminator=critic, latent_dim=4)
    state = deepcopy(module.state_dict())
    if isinstance(penalty, ConsistencyTerm):
        penalty.watch(module.discriminator)
    if isinstance(penalty, AdaptiveAugmentation):
        module.image_transforms.append(penalty.pipeline)
    graph = torch.compile(module.cost, fullgraph=True, dynamic=False, backend="aot_eager")
    compiled = torch._dynamo.config.patch(trace_autograd_ops=True)(graph)
    eager = gradients(module, (penalty,), module.cost)
    module.load_state_dict(state)
    result = {
        "error": distance(gradients(module, (penalty,), compiled), eager),
        "effect": distance(without_all(module), eager),
    }
    changed = isinstance(penalty, AnnealedNoisePenalty | AdaptiveAugmentation)
    if isinstance(penalty, AnnealedNoisePenalty):
        penalty._factor.fill_(0.5)  # gamma falls, without another graph
    if isinstance(penalty, AdaptiveAugmentation):
        penalty.pipeline.p.fill_(1.0)  # p rises
    if changed:
        annealed = gradients(module, (penalty,), module.cost)
        result["annealed_error"] = distance(gradients(module, (penalty,), compiled), annealed)
        result["annealed_effect"] = distance(eager, annealed)
    result["graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    result["breaks"] = len(torch._dynamo.utils.counters["graph_break"])
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {name: compare(penalty, normalized="normalized" in name) for name, penalty in CASES.items()}
    Path(sys.argv[1]).write_text(json.dumps(found))
