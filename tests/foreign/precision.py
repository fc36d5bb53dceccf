"""Prints how exactly penalties equal those by hand, for docs/foreign_modules.md: `python -m tests.foreign.precision`.

The gradients of the first turn are compared, and the weights after three batches with two optimizers.
"""

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks import R1, R2
from tests.foreign import comparison


class FirstGradient(Callback):
    """Keeps the gradient of the critic in its first turn.

    Args:
        critic: attribute path of the critic.
    """

    def __init__(self, critic: str) -> None:
        self.critic = critic
        self.gradient: Tensor | None = None

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        parameters = list(pl_module.get_submodule(self.critic).parameters())
        moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if self.gradient is None and id(parameters[0]) in moved:
            self.gradient = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).double()


def relative(first: Tensor, second: Tensor, plain: Tensor) -> float:
    """The difference of two vectors, as a share of what the penalty adds to the plain one."""
    return float((first - second).norm() / (second - plain).norm())


def measured(name: str, settings: dict[str, Any]) -> tuple[float, float]:
    """The relative differences of the first gradient, and of all weights after three batches."""
    names = comparison.MODULES[name][1]

    def run(*callbacks: Callback, by_hand: list[comparison.ByHand] | None = None) -> tuple[Tensor, Tensor]:
        first = FirstGradient(names.get("discriminator", "discriminator"))
        module = comparison.trained(name, *callbacks, first, by_hand=by_hand, limit_train_batches=3, **settings)
        assert first.gradient is not None
        return first.gradient, torch.cat([p.detach().flatten() for p in module.parameters()]).double()

    ours, hand = run(R1(gamma=10.0, **names), R2(gamma=10.0, **names)), run(by_hand=[comparison.r1, comparison.r2])
    pairs = zip(ours, hand, run(), strict=True)
    gradient, weights = (relative(*own) for own in pairs)
    return gradient, weights


def with_epsilon(epsilon: float) -> Callable[[torch.nn.Module], torch.optim.Adam]:
    """An optimizer of the modules of this folder, with another epsilon."""
    return lambda network: torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.0, 0.99), eps=epsilon)


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)
    print("precision    Adam's epsilon  first gradient  weights after three batches (shares of the penalties' effect)")
    for precision in ("64-true", "32-true", "bf16-mixed"):
        for epsilon in (1e-3, 1e-8):
            for kind, _ in comparison.MODULES.values():
                sys.modules[kind.__module__].adam = with_epsilon(epsilon)  # type: ignore[attr-defined]
            found = [measured(name, {"precision": precision}) for name in comparison.MODULES]
            gradient, weights = (max(own) for own in zip(*found, strict=True))
            print(f"{precision:<12} {epsilon:<15g} {gradient:<15.0e} {weights:.0e}")


if __name__ == "__main__":
    main()
