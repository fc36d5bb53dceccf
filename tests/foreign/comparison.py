"""Trains a module with penalties dropped in as callbacks, and its twin with the same penalties written into its step.

The ones by hand are written from the papers, and share no code with the package.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.callbacks.regularizers.gradient_penalty import R1, R2, GradientPenalty
from lightning_gan.callbacks.regularizers.roth import Roth
from lightning_gan.foreign.penalty import Penalty
from tests.foreign.augmenting import AugmentingGAN
from tests.foreign.automatic import AutomaticCritic
from tests.foreign.detaching import DetachingGAN
from tests.foreign.pairs import MarkingGAN, PairGAN
from tests.foreign.relativistic import RelativisticGAN
from tests.foreign.toggling import TogglingGAN
from tests.toys import toy_images, toy_trainer

Score: TypeAlias = Callable[[Tensor], Tensor]
"""A critic as a function of its images."""

ByHand: TypeAlias = Callable[[Score, Tensor, Tensor], Tensor]
"""A penalty of (critic, real, fake)."""


def squared_slope(critic: Score, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the squared norm of the critic's gradient by every image."""
    images = images.detach().requires_grad_()
    logits = critic(images)
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, slope.flatten(1).pow(2).sum(1)


def r1(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    return 5.0 * squared_slope(critic, real)[1].mean()


def r2(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    return 5.0 * squared_slope(critic, fake)[1].mean()


def wgan_gp(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    e = torch.rand(len(real), 1, 1, 1)
    slope = squared_slope(critic, (1 - e) * real + e * fake)[1]
    return 10.0 * (slope.sqrt() - 1).pow(2).mean()


def roth(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    real_logits, at_real = squared_slope(critic, real)
    fake_logits, at_fake = squared_slope(critic, fake)
    confidence = (1 - torch.sigmoid(real_logits)).flatten().pow(2), torch.sigmoid(fake_logits).flatten().pow(2)
    return 1.0 * ((confidence[0] * at_real).mean() + (confidence[1] * at_fake).mean())


def ct(critic: Score, real: Tensor, fake: Tensor) -> Tensor:
    return 2.0 * torch.relu((critic(real) - critic(real)).flatten().pow(2) - 0.0).mean()


MODULES: dict[str, tuple[type[LightningModule], dict[str, Any]]] = {
    "toggling": (TogglingGAN, {}),
    "detaching": (DetachingGAN, {"discriminator": "netD", "generator": "netG"}),
    "augmenting": (AugmentingGAN, {"discriminator": "nets.D", "generator": "nets.G"}),
    "automatic": (AutomaticCritic, {"discriminator": "critic", "generator": "decoder"}),
    "relativistic": (RelativisticGAN, {}),
    "pairs": (PairGAN, {"discriminator": "netD", "generator": "netG", "image": "images"}),
    "marking": (MarkingGAN, {"discriminator": "netD", "generator": "netG"}),
}
"""Every module, and what a penalty has to be told of its networks."""


def critic_of(module: LightningModule) -> Score:
    """The network that the penalties of this folder regularize, as a function of images."""
    if isinstance(module, PairGAN):
        return partial(module.netD, module.condition)
    names = next(names for kind, names in MODULES.values() if isinstance(module, kind))
    return module.get_submodule(names.get("discriminator", "discriminator"))


PENALTIES: dict[str, tuple[Callable[[dict[str, Any]], Penalty], ByHand]] = {
    "R1": (lambda names: R1(gamma=10.0, **names), r1),
    "R2": (lambda names: R2(gamma=10.0, **names), r2),
    "WGAN-GP": (lambda names: GradientPenalty(weight=10.0, **names), wgan_gp),
    "Roth": (lambda names: Roth(gamma=2.0, **names), roth),
    "CT": (lambda names: ConsistencyTerm(weight=2.0, **names), ct),
}
"""What makes a penalty for the networks' names, and the same by hand."""


class Pictures(Dataset[Any]):
    """Images in the shape of batch that a module expects."""

    def __init__(self, *, as_dictionary: bool) -> None:
        self.images = toy_images(64)
        self.as_dictionary = as_dictionary

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        image = self.images[index]
        return {"image": image} if self.as_dictionary else (image, index % 2)


def at_least_fp32(images: Tensor) -> Tensor:
    return images.float() if images.dtype in (torch.float16, torch.bfloat16) else images


def write_into(kind: type[LightningModule], penalties: list[ByHand], *, every: int) -> type[LightningModule]:
    """The module's twin, which pays the penalties in its own step, in fp32, at every n-th of them `every` times."""

    class Twin(kind):  # type: ignore[misc, valid-type]
        looks = 0

        def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
            due = self.looks % every == 0
            self.looks += 1
            if not due:
                return 0.0
            with torch.autocast("cpu", enabled=False):
                costs = [penalty(critic_of(self), at_least_fp32(real), at_least_fp32(fake)) for penalty in penalties]
            return every * torch.stack(costs).sum()

    return Twin


def loader_for(module: LightningModule, *, batch_size: int = 8) -> DataLoader[Any]:
    return DataLoader(Pictures(as_dictionary=isinstance(module, RelativisticGAN)), batch_size=batch_size)


def trained(
    name: str,
    *callbacks: Callback,
    by_hand: list[ByHand] | None = None,
    every: int = 1,
    dropout: float = 0.0,
    prepare: Callable[[LightningModule], None] | None = None,
    seed: int = 11,
    **trainer_settings: Any,
) -> LightningModule:
    """A module after five batches, with penalties as callbacks, or written into it, or none."""
    torch.manual_seed(7)
    kind = MODULES[name][0] if by_hand is None else write_into(MODULES[name][0], by_hand, every=every)
    module = kind(dropout=dropout)
    if prepare is not None:
        prepare(module)
    torch.manual_seed(seed)
    toy_trainer(*callbacks, **{"limit_train_batches": 5, **trainer_settings}).fit(module, loader_for(module))
    return module


def error(first: LightningModule, second: LightningModule) -> float:
    """Largest difference of any two weights."""
    return max((a - b).abs().max().item() for a, b in zip(first.parameters(), second.parameters(), strict=True))
