"""The penalties of the examples, written by hand into the losses of their critics.

They are written from the papers, and share no code with the package. The settings are repeated here, so that a test
fails if an example's settings stop having their meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

Cost: TypeAlias = Callable[..., Tensor | float]
"""A penalty of (module, and the arguments of the method that computes the critic's loss)."""


def slope(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The mean over samples of the squared norm of the gradient of the summed scores."""
    images = images.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1).pow(2).sum(1).mean()


@dataclass
class EveryNth:
    """A penalty in the turns 0, n, 2n, ..., with n times its weight."""

    every: int
    cost: Cost
    turns: int = 0

    def __call__(self, module: Any, *arguments: Tensor) -> Tensor | float:
        self.turns += 1
        return self.every * self.cost(module, *arguments) if (self.turns - 1) % self.every == 0 else 0.0


@dataclass
class LeCamByHand:
    """LeCam as its authors' code has it, from the second turn on."""

    weight: float
    decay: float
    averages: tuple[Tensor, Tensor] | None = None

    def __call__(self, module: Any, real: Tensor, fake: Tensor) -> Tensor | float:
        scores = module.discriminator(real), module.discriminator(fake)
        means = scores[0].mean().detach(), scores[1].mean().detach()
        if self.averages is None:
            self.averages = means
            return 0.0
        a_real, a_fake = self.averages
        cost = torch.relu(scores[0] - a_fake).pow(2).mean() + torch.relu(a_real - scores[1]).pow(2).mean()
        self.averages = (
            self.decay * a_real + (1 - self.decay) * means[0],
            self.decay * a_fake + (1 - self.decay) * means[1],
        )
        return self.weight * cost


@dataclass
class After:
    """A penalty that begins at a step of the trainer."""

    start: int
    cost: Cost

    def __call__(self, module: Any, *arguments: Tensor) -> Tensor | float:
        return self.cost(module, *arguments) if module.global_step >= self.start else 0.0


def noised_difference(module: Any, x_t: Tensor, t: Tensor) -> Tensor:
    moved = x_t + 0.05 * torch.randn_like(x_t)
    difference = (module.critic(moved, t) - module.critic(x_t, t)).flatten() / 0.05
    return 0.1 * difference.pow(2).mean()


def of_both_banks(module: Any, y: Tensor, y_hat: Tensor) -> Tensor:
    def summed(bank: Any) -> Callable[[Tensor], Tensor]:
        return lambda wave: torch.stack([scores.sum() for scores in bank(wave, y_hat)[0]])

    return 0.05 * (slope(summed(module.mpd), y) + slope(summed(module.mrd), y))


def of_each_sub_critic(module: Any, y: Tensor, y_hat: Tensor) -> Tensor:
    critics = [*module.mpd, *module.mrd]
    return 0.05 * torch.stack([slope(lambda wave, critic=critic: critic(wave)[0], y) for critic in critics]).sum()


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a test needs to know of an example.

    Attributes:
        kind: name of its LightningModule.
        data: name of what makes its data, a function or a class of the number of samples.
        costs: what makes its penalties by hand, in the order of its callbacks.
        method: name of the method that computes the critic's loss.
        averaged: paths of the networks whose weights are averaged.
        half_life_images: half-life of the average.
        batches: number of batches in an epoch of the comparison.
        epochs: number of epochs of the comparison.
        constants: constants of the example that the comparison changes.
        shortest: argument of a short `main`, in batches or epochs.
    """

    kind: str
    data: str
    costs: Callable[[], list[Cost]]
    method: str = "discriminator_loss"
    averaged: tuple[str, ...] = ("generator",)
    half_life_images: float = 200.0
    batches: int = 5
    epochs: int = 1
    constants: dict[str, int] | None = None
    shortest: int = 3

    def module(self, example: ModuleType, *, by_hand: list[Cost] | None = None) -> LightningModule:
        """The example's module, or its twin with penalties in the critic's loss."""
        kind = getattr(example, self.kind)
        if by_hand is not None:
            kind = written_into(kind, self.method, by_hand)
        if self.kind == "Distillation":
            return kind(example.ExactTeacher(example.bars(16)))  # type: ignore[no-any-return]
        return kind()  # type: ignore[no-any-return]


def written_into(kind: type[Any], method: str, costs: list[Cost]) -> type[Any]:
    """A twin of a module, whose critic's loss has further terms."""

    def with_costs(self: Any, *arguments: Tensor) -> Tensor:
        loss: Tensor = getattr(kind, method)(self, *arguments)
        for cost in costs:
            loss = loss + cost(self, *arguments)
        return loss

    return type("Twin", (kind,), {method: with_costs})


EXAMPLES: dict[str, Example] = {
    "vqgan_tokenizer": Example(
        kind="VQGAN",
        data="Discs",
        costs=lambda: [
            After(5, EveryNth(2, lambda own, x, x_rec: 0.05 * slope(own.discriminator, x))),
            After(5, LeCamByHand(weight=0.1, decay=0.9)),
        ],
        averaged=("encoder", "quantize", "decoder"),
        batches=7,
        constants={"DISC_START": 5},
    ),
    "vocoder": Example(kind="Vocoder", data="waves", costs=lambda: [EveryNth(2, of_both_banks)], batches=3),
    "pix2pix": Example(
        kind="Pix2Pix",
        data="Facades",
        costs=lambda: [EveryNth(2, lambda own, fake_pair, real_pair: 0.05 * slope(own.netD, real_pair))],
        averaged=("netG",),
    ),
    "volume_autoencoder": Example(
        kind="VolumeAutoencoder",
        data="Phantoms",
        costs=lambda: [EveryNth(4, lambda own, fake, real: 0.05 * slope(lambda x: own.discriminator(x)[-1], real))],
        averaged=("autoencoder",),
        half_life_images=100.0,
        batches=2,
        epochs=3,
        constants={"WARM_UP_EPOCHS": 1},
    ),
    "diffusion_distillation": Example(
        kind="Distillation",
        data="bars",
        costs=lambda: [
            lambda own, real_t, fake_t, t: noised_difference(own, real_t, t),
            EveryNth(2, lambda own, real_t, fake_t, t: noised_difference(own, fake_t, t)),
        ],
        method="critic_loss",
        averaged=("student",),
        half_life_images=500.0,
    ),
    "super_resolution": Example(
        kind="SuperResolution",
        data="textures",
        costs=lambda: [EveryNth(2, lambda own, low, high, _: 0.05 * slope(lambda x: own.net_d(low, x), high))],
        averaged=("net_g",),
    ),
    "stable_dcgan": Example(
        kind="DCGAN",
        data="blobs",
        costs=lambda: [EveryNth(2, lambda own, real, fake: 0.25 * slope(own.netD, real))],
        averaged=("netG",),
        half_life_images=1000.0,
    ),
}
"""Every example, by the name of its file."""
