"""Which weights a measurement measures: their fingerprint, and the checkpoint that they come from."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.distributed.tensor import DTensor


def fingerprint(module: LightningModule) -> str:
    """Returns 16 hexadecimal digits that differ between different weights; every rank calls it.

    Args:
        module: module whose parameters and buffers are read.
    """
    digest = sha256()
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, Tensor):
            continue
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        digest.update(name.encode())
        digest.update(whole.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def origin(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Returns the part of a record that says which weights were measured; every rank calls it.

    Args:
        trainer: trainer that runs `fit`, `validate` or `test`.
        module: module that is measured, with the weights that are measured.

    Returns:
        "checkpoint", the path of the checkpoint in the run's folder, or its whole path if it is elsewhere, or None for
        weights in memory; "weights", their fingerprint; "trained_here", whether the run in this folder is known to have
        trained them.
    """
    path = None if trainer.state.fn == TrainerFn.FITTING else trainer.ckpt_path
    folder = Path(trainer.default_root_dir).resolve()
    checkpoint = None if path is None else str(path)
    is_inside = checkpoint is not None and Path(checkpoint).resolve().is_relative_to(folder)
    if checkpoint is not None and is_inside:
        checkpoint = Path(checkpoint).resolve().relative_to(folder).as_posix()
    return {
        "checkpoint": checkpoint,
        "weights": fingerprint(module),
        "trained_here": is_inside or trainer.state.fn == TrainerFn.FITTING,
    }
