"""Loads the model of any checkpoint, without being told its class or its settings."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser

from lightning_gan.data.value_range import ValueRange, value_range_of
from lightning_gan.inference.exported_folder import SETTINGS, is_exported, read_exported
from lightning_gan.loop.checkpointing import CheckpointError, newest_whole_checkpoint, read_checkpoint
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.other_networks import differing_tensors, model_in


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model and where it is from.

    Attributes:
        model: the model, on the CPU and in evaluation mode.
        class_path: dotted path of its class.
        settings: arguments of its constructor as plain data.
        file: the checkpoint file, or the exported folder.
        value_range: the original values that -1 and 1 of its images stand for; None for bytes, and if it is unknown.
    """

    model: GAN
    class_path: str
    settings: dict[str, Any]
    file: Path
    value_range: ValueRange | None = None


def load(path: str | Path) -> GAN:
    """Load the model of a checkpoint or of an exported folder, on the CPU and in evaluation mode.

    The file names the model's class and its settings. Only subclasses of `GAN` are built, with settings of the types
    that their constructors declare; tensors are read with `weights_only=True`. An exported folder has the weights that
    make images (and codes) alone: its model is for sampling, and its discriminator has random weights.

    Args:
        path: a checkpoint file, the folder of a run (`runs/stylegan`) or its folder of checkpoints, of which the newest
            whole checkpoint is taken, or a folder that `lightning-gan export` or `publish` has written.

    Raises:
        CheckpointError: if there is no whole checkpoint, or the model cannot be built from it.

    Example:
        >>> load("runs/nothing")
        Traceback (most recent call last):
        lightning_gan.loop.checkpointing.CheckpointError: there is no checkpoint runs/nothing; give a file or a run
    """
    return load_with_settings(path).model


def load_with_settings(path: str | Path) -> LoadedModel:
    """Load the model of a checkpoint or of an exported folder, as `load` does, with its class and settings.

    Args:
        path: a checkpoint file, the folder of a run or of its checkpoints, or an exported folder.

    Raises:
        CheckpointError: if there is no whole checkpoint, or the model cannot be built from it.
    """
    if is_exported(Path(path)):
        return _loaded_export(Path(path))
    file = checkpoint_at(Path(path))
    content = read_checkpoint(file, for_training=False)
    if file.is_dir():
        raise CheckpointError(
            f"{file} is a sharded checkpoint, which only `fit` and `test` read; train one more batch with another "
            "--trainer.strategy to write a whole one"
        )
    class_path, settings = _class_and_settings(content, file)
    model = built_model(class_path, settings, file)
    model.on_load_checkpoint(content)
    model.load_state_dict(content["state_dict"])
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        class_path=class_path,
        settings=settings,
        file=file,
        value_range=_value_range_in(content),
    )


def _value_range_in(content: dict[str, Any]) -> ValueRange | None:
    """The range of values that the data module of the training has saved in the checkpoint, if it has one."""
    for saved in content.values():
        if isinstance(saved, dict) and "fingerprints" in saved and saved.get("value_range") is not None:
            return value_range_of(saved["value_range"])
    return None


def _loaded_export(folder: Path) -> LoadedModel:
    exported = read_exported(folder)
    model = built_model(exported.class_path, exported.settings, folder / SETTINGS)
    if exported.resolution is not None:
        model.grow(exported.resolution, exported.fade_in)
    for path, tensors in exported.weights.items():
        network = model.get_submodule(path)
        if found := differing_tensors(network.state_dict(), tensors):
            raise CheckpointError(
                f"{folder}: the weights of {path} do not fit {exported.class_path} of {SETTINGS} ({found[0]}); export "
                "the model again"
            )
        network.load_state_dict(tensors)
    model.generator_ema.load_state_dict(model.generator.state_dict())
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        class_path=exported.class_path,
        settings=exported.settings,
        file=folder,
        value_range=value_range_of(exported.value_range),
    )


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


def _class_and_settings(content: dict[str, Any], file: Path) -> tuple[str, dict[str, Any]]:
    class_path, settings = model_in(content)
    if class_path is None:
        raise CheckpointError(
            f"{file} does not name the class of its model, because a module that is no lightning_gan.GAN wrote it; use "
            "YourModule.load_from_checkpoint"
        )
    return class_path, settings


def built_model(class_path: str, settings: dict[str, Any], file: Path) -> GAN:
    """A model with new weights, which depend on nothing but its settings.

    Args:
        class_path: dotted path of its class, which must derive from `GAN`.
        settings: arguments of its constructor as plain data.
        file: where the settings are from, for the error message.

    Raises:
        CheckpointError: if the class or a setting is not accepted.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GAN, "model")
    try:
        parsed = parser.parse_object({"model": {"class_path": class_path, "init_args": settings}})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
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
