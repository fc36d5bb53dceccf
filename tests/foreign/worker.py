"""Trains every module of this folder on two ranks, with penalties as callbacks and by hand, and writes the differences.

Run as `python -m torch.distributed.run --nproc_per_node=2 tests/foreign/worker.py FILE`: `test_two_ranks.py` does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.distributed
from lightning.pytorch import LightningModule
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.distributed import shard
from tests.foreign.comparison import MODULES, PENALTIES, ByHand, trained

Weights: TypeAlias = dict[str, Any]

DDP = "ddp_find_unused_parameters_true"


def weights(module: LightningModule) -> Weights:
    """All of them, whole, on every rank."""
    found: Weights = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
    return found


def difference(first: Weights, second: Weights) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def shard_networks(module: LightningModule) -> None:
    """What the author of a module writes for FSDP2."""

    def configure_model() -> None:
        assert module.device_mesh is not None
        for network in module.children():
            shard(network, mesh=module.device_mesh["data_parallel"])

    module.configure_model = configure_model  # type: ignore[method-assign]


def run(name: str, *callbacks: Penalty, by_hand: list[ByHand] | None = None, **settings: Any) -> Weights:
    rank = int(os.environ["RANK"])
    return weights(trained(name, *callbacks, by_hand=by_hand, dropout=0.2, seed=11 + rank, devices=2, **settings))


def spread(found: Weights) -> float:
    """How far the ranks are apart."""
    everyone: list[Any] = [None, None]
    torch.distributed.all_gather_object(everyone, found)
    return difference(*everyone)


def main(file: Path) -> None:
    found: dict[str, dict[str, float]] = {}
    for name, (_, names) in MODULES.items():
        plain = run(name, strategy=DDP)
        for title, (make, by_hand) in PENALTIES.items():
            ours = run(name, make(names), strategy=DDP)
            written = run(name, by_hand=[by_hand], strategy=DDP)
            found[f"ddp {name} {title}"] = {
                "error": difference(ours, written),
                "effect": difference(ours, plain),
                "spread": spread(ours),
            }
            if name == "detaching":
                sharded = run(name, make(names), strategy="gan_fsdp", prepare=shard_networks)
                found[f"fsdp2 {name} {title}"] = {
                    "error": difference(sharded, written),
                    "effect": difference(sharded, plain),
                    "spread": spread(sharded),
                }
    if int(os.environ["RANK"]) == 0:
        file.write_text(json.dumps(found, indent=1))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
