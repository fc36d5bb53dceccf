"""Checks of parsed settings, before anything is built: what a training of two players cannot do is named."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningDataModule

from lightning_gan.callbacks import FreezeD
from lightning_gan.cli.errors import CommandLineError, constructor_parameters, short
from lightning_gan.data.datamodule import GANData
from lightning_gan.imitation import Rollouts
from lightning_gan.loop.endings import ends

LARGEST_SEED = 2**32 - 1
"""The largest seed that NumPy takes, which `seed_everything` also seeds."""

MOST_PROCESSES_PER_CORE = 4
"""The largest number of training processes for each processor core, on CPU."""


def check_settings(settings: dict[str, Any], *, command: str) -> None:
    """Check all numbers of a command line, and what it gives the trainer.

    Args:
        settings: the parsed settings as plain data, with the sections `model`, `data` and `trainer`.
        command: name of the command: `fit`, `validate` or `test`.

    Raises:
        CommandLineError: for the first setting that is wrong.
    """
    for name, value in numbers_in(settings):
        if not math.isfinite(value):
            raise CommandLineError(f"{name}={value} is not a finite number; give a finite one")
    for name, owner, wanted in missing_values(settings):
        raise CommandLineError(f"{name}=null: {owner} needs a value of type {wanted}; leave it out for the default")
    seed = settings.get("seed_everything")
    if isinstance(seed, int) and not 0 <= seed <= LARGEST_SEED:
        raise CommandLineError(f"seed_everything={seed}: a seed is a number from 0 to {LARGEST_SEED}")
    trainer = settings["trainer"]
    _check_at_least_one(trainer, "log_every_n_steps", "check_val_every_n_epoch", "num_nodes")
    _check_devices(trainer)
    if command == "fit":
        _check_for_two_players(trainer)


def numbers_in(settings: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers with a decimal point in nested settings, with their dotted names, which omit `init_args`.

    Example:
        >>> list(numbers_in({"model": {"init_args": {"rates": [0.5, 1.5]}}}))
        [('model.rates', 0.5), ('model.rates', 1.5)]
    """
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from numbers_in(value, name if key == "init_args" else f"{name}.{key}".removeprefix("."))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from numbers_in(value, name)
    elif isinstance(settings, float):
        yield name, settings


def missing_values(settings: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Arguments of classes that are null and may not be: their dotted names, classes, and names of their types.

    The parser checks the types of all other values. Arguments without a default may follow from the data.

    Args:
        settings: nested settings with `class_path` and `init_args`.
        name: beginning of the dotted names.

    Example:
        >>> digits = {"class_path": "lightning_gan.data.Digits", "init_args": {"image_size": None}}
        >>> list(missing_values({"data": digits}))
        [('data.image_size', 'Digits', 'int')]
    """
    if isinstance(settings, list):
        for value in settings:
            yield from missing_values(value, name)
    if not isinstance(settings, dict):
        return
    given = settings.get("init_args")
    if isinstance(settings.get("class_path"), str) and isinstance(given, dict):
        for argument, parameter in constructor_parameters(settings["class_path"]).items():
            kind = parameter.annotation
            is_null = argument in given and given[argument] is None
            if is_null and kind in (int, float, str, bool) and parameter.default not in (None, parameter.empty):
                yield f"{name}.{argument}", short(settings["class_path"]), kind.__name__
    for key, value in settings.items():
        yield from missing_values(value, name if key == "init_args" else f"{name}.{key}".removeprefix("."))


def _check_at_least_one(trainer: dict[str, Any], *names: str) -> None:
    for name in names:
        value = trainer.get(name)
        if value is not None and value < 1:
            raise CommandLineError(f"trainer.{name}={value} must be at least 1; leave it out for the default")


def _check_devices(trainer: dict[str, Any]) -> None:
    devices, accelerator = trainer["devices"], trainer["accelerator"]
    if isinstance(devices, str) and devices != "auto":
        parts = devices.strip("[]").split(",")
        if not all(part.strip().removeprefix("-").isdecimal() for part in parts if part.strip()):
            raise CommandLineError(
                f"trainer.devices={devices}: give a number, a list of numbers such as [0,1], or auto"
            )
        devices = int(devices) if devices.removeprefix("-").isdecimal() else devices
    if devices == 0:
        raise CommandLineError("trainer.devices=0 is no device to run on; give at least 1, or auto")
    if accelerator != "cpu":
        return
    if isinstance(devices, list):
        raise CommandLineError(
            f"trainer.devices={devices}: on CPU it is the number of processes; give --trainer.devices={len(devices)}"
        )
    most = MOST_PROCESSES_PER_CORE * (os.cpu_count() or 1)
    if isinstance(devices, int) and devices > most:
        raise CommandLineError(
            f"trainer.devices={devices}: on CPU it is the number of processes, and this machine has "
            f"{os.cpu_count()} cores; give at most {most}"
        )


def _check_for_two_players(trainer: dict[str, Any]) -> None:
    """Check the trainer's settings that Lightning offers for modules with one player and data with an end."""
    if trainer["gradient_clip_val"] is not None:
        raise CommandLineError(
            f"trainer.gradient_clip_val={trainer['gradient_clip_val']}: each player has a limit of its own; give "
            "--model.training.generator_clip_norm and --model.training.discriminator_clip_norm, or ..._clip_value"
        )
    if trainer["accumulate_grad_batches"] != 1:
        raise CommandLineError(
            f"trainer.accumulate_grad_batches={trainer['accumulate_grad_batches']}: a turn takes one step; give a "
            "larger --data.batch_size, and cut it with --model.training.accumulate_slices"
        )
    if trainer["overfit_batches"]:
        raise CommandLineError(
            f"trainer.overfit_batches={trainer['overfit_batches']}: training data are an endless stream, which does "
            "not repeat its first batches; give data of few images instead"
        )
    if trainer["limit_train_batches"] is not None and trainer["limit_train_batches"] == 0:
        raise CommandLineError(
            "trainer.limit_train_batches=0 trains nothing; leave it out, or measure with the commands validate or test"
        )
    if trainer["val_check_interval"] == 0:
        raise CommandLineError("trainer.val_check_interval=0: give the number of batches between validations, from 1")


def check_epochs(trainer: dict[str, Any], data: LightningDataModule) -> None:
    """Check that epochs are counted only where they end.

    Args:
        trainer: the trainer's settings.
        data: the data module.

    Raises:
        CommandLineError: if a setting needs the end of an epoch, and the data are an endless stream.
    """
    limit = trainer["limit_train_batches"]
    if trainer["fast_dev_run"] or not isinstance(data, GANData | Rollouts):
        return
    name = type(data).__name__
    if isinstance(limit, float) and limit != 1.0:
        raise CommandLineError(
            f"trainer.limit_train_batches={limit}: {name} is an endless stream, which has no such part; "
            "give a number of batches"
        )
    interval = trainer["val_check_interval"]
    if isinstance(interval, float) and interval != 1.0 and limit in (None, 1.0):
        raise CommandLineError(
            f"trainer.val_check_interval={interval}: {name} is an endless stream, which has no such part; "
            "give a number of batches"
        )
    if isinstance(limit, int) and not isinstance(limit, bool):
        return
    for setting in ("max_epochs", "min_epochs"):
        if trainer[setting] not in (None, -1):
            raise CommandLineError(
                f"trainer.{setting}={trainer[setting]}: {name} is an endless stream without epochs; give "
                "--trainer.max_steps=BATCHES or --trainer.callbacks+=StopAtKimg --trainer.callbacks.total_kimg=KIMG"
            )


def check_end(trainer: dict[str, Any]) -> None:
    """Check that something ends the training.

    Args:
        trainer: the trainer's settings. Callbacks are objects.

    Raises:
        CommandLineError: if nothing does.
    """
    given = trainer["callbacks"]
    callbacks = [given] if isinstance(given, Callback) else list(given or [])
    counts_epochs = trainer["max_epochs"] not in (None, -1)
    if trainer["fast_dev_run"] or counts_epochs:
        return
    if not ends(max_steps=trainer["max_steps"], max_time=trainer["max_time"], callbacks=callbacks):
        raise CommandLineError(
            "nothing ends this training; give --trainer.callbacks+=StopAtKimg --trainer.callbacks.total_kimg=KIMG, "
            "--trainer.max_steps=BATCHES or --trainer.max_time=DD:HH:MM:SS"
        )


def frozen_at_random(callbacks: list[Callback], *, new: Sequence[str]) -> str | None:
    """A line about weights that `FreezeD` keeps as they were drawn, in a training that begins.

    It is no error, because a model may load weights by itself.

    Args:
        callbacks: the callbacks of the training.
        new: names of the model's weights that were not loaded.

    Returns:
        The line, or None if there are no such weights.
    """
    kept = tuple(f"{own.network}.{layer}." for own in callbacks if isinstance(own, FreezeD) for layer in own.layers)
    drawn = [name for name in new if name.startswith(kept)]
    if not drawn:
        return None
    return (
        f"FreezeD: {len(drawn)} of the tensors that stay as they are were drawn at random ({drawn[0]} is the first), "
        "unless the model loads weights itself; give --weights RUN of the same networks, or leave FreezeD out"
    )
