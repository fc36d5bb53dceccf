"""Trains on every rank what is refused, and writes the message of the rank: `test_refusals_on_two_ranks.py` compares.

Run it with FOLDER as its argument, by `python -m torch.distributed.run --nproc_per_node=2`, or by `python` alone.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor

from lightning_gan.callbacks import R1, AdaptivePseudoAugmentation, DiffAugment, InstanceNoise
from tests.foreign.games import NAMES, Critic, Game, fit, randoms

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))


class Doubtful(Game):
    """Two calls of its critic have images of which nobody can tell whether they are real."""

    def critic_loss(self, batch: Any) -> Tensor:
        return super().critic_loss(2 * batch) + self.D(3 * batch).mean()


class Unused(Game):
    """It has a second critic, which is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.other = Critic().requires_grad_(False)


def of_two(module: Game, count: int) -> Tensor:
    return randoms(1, 4, 4, count=count)[0]


def without_channels(module: Game, count: int, seed: int) -> Tensor:
    return torch.zeros(count, 4, 4, dtype=torch.float64)


CASES: dict[str, tuple[type[Game], Callable[[], Callback], dict[str, Any]]] = {
    "unknown": (Doubtful, lambda: R1(gamma=1.0, **NAMES), {}),
    "twice": (Game, lambda: R1(gamma=1.0, real=0, fake=0, **NAMES), {}),
    "never called": (Unused, lambda: DiffAugment(network="other"), {}),
    "no network": (Game, lambda: InstanceNoise(network="critic", standard_deviation=0.1), {}),
    "arguments": (Game, lambda: AdaptivePseudoAugmentation(sampler=of_two, **NAMES), {}),
    "no images": (Game, lambda: AdaptivePseudoAugmentation(sampler=without_channels, **NAMES), {}),
    "no sampler": (Game, lambda: AdaptivePseudoAugmentation(**NAMES), {}),
    "no logs": (Game, lambda: R1(gamma=1.0, **NAMES), {"log_every_n_steps": 0}),
}


def told(case: str) -> str:
    """The message of the error with which the training of a case ends, or the warnings of the first rank."""
    kind, callback, settings = CASES[case]
    strategy = "auto" if RANKS == 1 else "ddp_find_unused_parameters_true"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit(kind, randoms(1, 4, 4), callback(), devices=RANKS, strategy=strategy, max_epochs=1, **settings)
        except ValueError as error:
            return str(error)
    return "".join(str(warning.message) for warning in caught if "was not called" in str(warning.message))


def main(folder: Path) -> None:
    messages = {case: told(case) for case in CASES}
    (folder / f"messages_{RANKS}_{RANK}.json").write_text(json.dumps(messages))
    if RANKS > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
