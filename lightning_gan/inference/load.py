"""Loads the model of any checkpoint, without being told its class or its settings."""

import re
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser

from lightning_gan.loop.checkpointing import CheckpointError, newest_whole_checkpoint, read_checkpoint
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.other_networks import model_in


def load(path: str | Path) -> GAN:
    """Load the model of a checkpoint, on the CPU and in evaluation mode.

    The checkpoint names the model's class and its settings. Only subclasses of `GAN` are built, with settings of the
    types that their constructors declare; tensors are read with `weights_only=True`.

    Args:
        path: a checkpoint file, the folder of a run (`runs/stylegan`) or its folder of checkpoints, of which the newest
            whole checkpoint is taken.

    Raises:
        CheckpointError: if there is no whole checkpoint, or the model cannot be built from it.

    Example:
        >>> load("runs/nothing")
        Traceback (most recent call last):
        lightning_gan.loop.checkpointing.CheckpointError: there is no checkpoint runs/nothing; give a file or a run
    """
    file = checkpoint_at(Path(path))
    content = read_checkpoint(file, for_training=False)
    if file.is_dir():
        raise CheckpointError(
            f"{file} is a sharded checkpoint, which only `fit` and `test` read; train one more batch with another "
            "--trainer.strategy to write a whole one"
        )
    model = _built(content, file)
    model.on_load_checkpoint(content)
    model.load_state_dict(content["state_dict"])
    return model.eval().requires_grad_(False)


def checkpoint_at(path: Path) -> Path:
    """The checkpoint that a path stands for.

    Args:
        path: a checkpoint, the folder of a run, or a folder of checkpoints.

    Raises:
        CheckpointError: if there is no whole checkpoint.
    """
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint {path}; give a file or a run")
    if path.is_file() or (path / "meta.pt").is_file():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    found = newest_whole_checkpoint(folder, for_training=False)
    if found.path is None:
        reason = f": {found.skipped[0]}" if found.skipped else ""
        raise CheckpointError(f"{folder} has no checkpoint that can be read{reason}; give a file or another run")
    return found.path


def _built(content: dict[str, Any], file: Path) -> GAN:
    class_path, settings = model_in(content)
    if class_path is None:
        raise CheckpointError(
            f"{file} does not name the class of its model, because a module that is no lightning_gan.GAN wrote it; use "
            "YourModule.load_from_checkpoint"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GAN, "model")
    try:
        parsed = parser.parse_object({"model": {"class_path": class_path, "init_args": settings}})
        with torch.random.fork_rng():  # the initial weights are replaced
            model: GAN = parser.instantiate_classes(parsed).model
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file}: {class_path} cannot be built from the settings in the checkpoint alone ({_reason(str(error))}); "
            f"if it was given networks of your own, use {class_path.rsplit('.', 1)[-1]}.load_from_checkpoint(path, "
            "weights_only=True, ...) with them"
        ) from error
    return model


def _reason(message: str) -> str:
    """What is wrong, in a message of the parser, which lists it among the types that the value might have."""
    among = re.search(r"Errors:\s+- (.*?)(?:\n\s+- Expected a <class 'NoneType'>|\Z)", message, flags=re.DOTALL)
    return " ".join((among[1] if among else message).split())[:300]
