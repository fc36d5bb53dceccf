"""Default settings of Lightning's Trainer on the command line, used where the user gives none."""

import logging
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy, Strategy, StrategyRegistry

from lightning_gan.callbacks import DivergenceSigns, KimgCheckpoint, KimgProgressBar, StopOnSignal, Throughput
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from lightning_gan.loop.counters import saved_images_seen
from lightning_gan.loop.csv_log import CSVLog

TRAINER_DEFAULTS: dict[str, Any] = {
    "num_sanity_val_steps": 0,  # validation makes samples, and those of an untrained generator are of no use
    "max_epochs": -1,  # the callback StopAtKimg ends training after a number of images
}


LOG = "log.csv"
"""File in the folder of a run that has all logged numbers."""


def trainer_settings(
    config: dict[str, Any], *, command: str, run: Path, makes_images: bool = False, checkpoint: Path | None = None
) -> dict[str, Any]:
    """Arguments of the Trainer that replace those of the configuration.

    Args:
        config: the trainer's settings. Callbacks, plugins and loggers are objects.
        command: name of the command: `fit`, `validate` or `test`. Only `fit` writes logs and checkpoints.
        run: folder of the run.
        makes_images: whether the model makes images, whose signs of divergence are logged.
        checkpoint: checkpoint that `fit` goes on from; None if training begins.
    """
    settings: dict[str, Any] = {"default_root_dir": str(run)}
    if config["logger"] is not False and command == "fit":
        settings["logger"] = loggers(config["logger"], run=run, checkpoint=checkpoint)
    elif config["logger"] in (None, True):
        settings["logger"] = False
    if config.get("enable_model_summary") is None:
        settings["enable_model_summary"] = False  # `model_line` is printed in its place
    strategy = config["strategy"]
    if strategy == "auto" and number_of_processes(config["accelerator"], config["devices"], config["num_nodes"]) > 1:
        strategy = settings["strategy"] = "gan_ddp"
    plugins = config["plugins"] if isinstance(config["plugins"], list) else [config["plugins"]]
    plugins = [plugin for plugin in plugins if plugin is not None]
    if not writes_its_own_checkpoints(strategy) and not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        settings["plugins"] = [*plugins, AtomicCheckpointIO()]
    given = config["callbacks"]
    callbacks = [given] if isinstance(given, Callback) else list(given or [])
    if command == "fit" and config["enable_checkpointing"] is not False:
        callbacks = with_checkpoints(callbacks, folder=run / "checkpoints")
    if command == "fit" and not any(isinstance(callback, StopOnSignal) for callback in callbacks):
        callbacks.append(StopOnSignal())
    if command == "fit" and makes_images and not any(isinstance(callback, DivergenceSigns) for callback in callbacks):
        callbacks.append(DivergenceSigns())
    if command == "fit" and not any(isinstance(callback, Throughput) for callback in callbacks):
        callbacks.append(Throughput())
    for callback in callbacks:
        if isinstance(callback, StopOnSignal):
            callback.how_to_go_on = f"{program()} fit --ckpt_path {{checkpoint}}"
    shows_progress = config["enable_progress_bar"] is not False
    if command == "fit" and shows_progress and not any(isinstance(callback, ProgressBar) for callback in callbacks):
        callbacks.append(KimgProgressBar())
    settings["callbacks"] = with_one_progress_bar(callbacks)
    return settings


def with_one_progress_bar(callbacks: list[Callback]) -> list[Callback]:
    """The callbacks without `KimgProgressBar` if there is another progress bar, because Lightning accepts only one.

    Args:
        callbacks: callbacks of the trainer.
    """
    bars = [callback for callback in callbacks if isinstance(callback, ProgressBar)]
    others = [bar for bar in bars if not isinstance(bar, KimgProgressBar)]
    if not others or len(others) == len(bars):
        return callbacks
    print(f"{type(others[0]).__name__} takes the place of KimgProgressBar, because a run has one", file=sys.stderr)
    return [callback for callback in callbacks if not isinstance(callback, KimgProgressBar)]


def loggers(given: Logger | list[Logger] | bool | None, *, run: Path, checkpoint: Path | None) -> list[Logger]:
    """The given loggers, or a TensorBoard logger if none is given and TensorBoard is installed; and a `CSVLog`.

    Args:
        given: loggers of the configuration. None and True are the default.
        run: folder of the run, to which the default and the `CSVLog` write.
        checkpoint: checkpoint that training goes on from; None if it begins.
    """
    listed = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
    if not listed and find_spec("tensorboard") is not None:
        # TensorBoard hides what an earlier process logged from this step on, because it is logged again.
        seen = 0 if checkpoint is None else saved_images_seen(checkpoint)
        purge_step = None if seen is None else seen + 1 if seen else 0
        listed = [
            TensorBoardLogger(
                save_dir=str(run.parent), name=run.name, version="", default_hp_metric=False, purge_step=purge_step
            )
        ]
    return listed if any(isinstance(logger, CSVLog) for logger in listed) else [*listed, CSVLog(run / LOG)]


def number_of_processes(accelerator: str, devices: int | str | list[int], num_nodes: int) -> int:
    """The number of processes that will train, over all nodes.

    Args:
        accelerator: Lightning's name of the accelerator, such as `auto`, `gpu` or `cpu`.
        devices: number of devices per node, a list of their indices, or "auto" or -1 for all devices.
        num_nodes: number of nodes.

    Example:
        >>> number_of_processes("cpu", 2, 1)
        2
        >>> number_of_processes("gpu", "0,3", 2)
        4
    """
    if isinstance(devices, str) and devices not in ("auto", "-1"):
        devices = [int(index) for index in devices.split(",") if index] if "," in devices else int(devices)
    if isinstance(devices, list):
        per_node = len(devices)
    elif devices in ("auto", "-1", -1):
        per_node = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 1
    else:
        per_node = int(devices)
    # A cluster or torchrun sets WORLD_SIZE, which is used if it is larger.
    return max(per_node * num_nodes, int(os.environ.get("WORLD_SIZE", "1")))


def writes_its_own_checkpoints(strategy: str | Strategy) -> bool:
    """Whether a strategy accepts no plugin for checkpoints, because it shards the model and writes them itself."""
    if isinstance(strategy, str):
        kind = StrategyRegistry[strategy]["strategy"] if strategy in StrategyRegistry else None
        return isinstance(kind, type) and issubclass(kind, FSDPStrategy | ModelParallelStrategy)
    return isinstance(strategy, FSDPStrategy | ModelParallelStrategy)


def with_checkpoints(callbacks: list[Callback], *, folder: Path) -> list[Callback]:
    """Add a `KimgCheckpoint` to the callbacks unless they contain one, and set the folders of all checkpoint callbacks.

    Other checkpoint callbacks stay beside it: without it there would be no `last.ckpt` to go on from.

    Args:
        callbacks: callbacks of the trainer.
        folder: folder for every `ModelCheckpoint` among them that has none.
    """
    if not any(isinstance(callback, KimgCheckpoint) for callback in callbacks):
        callbacks = [*callbacks, KimgCheckpoint()]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder)
    return callbacks


def program() -> str:
    """How this command line was called, such as `lightning-gan` or `python cli.py`."""
    called = sys.argv[0]
    return f"python {called}" if called.endswith(".py") and not called.endswith("__main__.py") else "lightning-gan"


def silence_remarks() -> None:
    """Hide messages of Lightning and torch that do not concern the user."""
    for speaker in ("pytorch.utilities.rank_zero", "pytorch.accelerators.cuda", "fabric.utilities.seed"):
        logging.getLogger(f"lightning.{speaker}").addFilter(_matters)
    # The averaged generator is in evaluation mode by design.
    warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
    # Callbacks do the evaluation, so the data need no validation dataloader.
    warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
    # Lightning calls a deprecated function of torch.
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")


def _matters(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's log should be shown: it is no advertising, and `model_line` does not say it."""
    remarks = ("💡 Tip:", "GPU available: ", "TPU available: ", "HPU available: ", "LOCAL_RANK: ", "Seed set to ")
    return not record.getMessage().startswith(remarks)
