"""Callbacks of Lightning that monitor a logged number look at it whenever this package logs it, and at no other time.

By themselves `ModelCheckpoint(monitor=...)` and `EarlyStopping(monitor=...)` look at the ends of epochs and of
validations. An endless epoch has none of them, and in a finite one they would look at a number of earlier weights, or
at the same number twice. A callback that logs numbers of its own calls `watch_monitors` in its `setup`, and `look`
after it has logged them.
"""

from collections.abc import Iterable, Iterator, Set
from difflib import get_close_matches
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lightning_gan.compat import (
    has_no_interval,
    look_now,
    save_if_best,
    skip_own_looks,
    skips_own_looks,
    with_mirror,
)


class Watch:
    """The hook `on_train_batch_end` of a `ModelCheckpoint` that saves only after its number was logged.

    Lightning calls checkpoint callbacks after all others, so that the saved file contains the state of all callbacks
    after the batch.

    Args:
        callback: callback whose hook it replaces.
    """

    def __init__(self, callback: ModelCheckpoint) -> None:
        self.callback = callback
        self.is_due = False

    def __call__(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The hook at the end of a batch."""
        type(self.callback).on_train_batch_end(self.callback, trainer, pl_module, outputs, batch, batch_idx)
        self._save_if_due(trainer)

    def at_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The hook at the end of training."""
        self._save_if_due(trainer)
        type(self.callback).on_train_end(self.callback, trainer, pl_module)

    def _save_if_due(self, trainer: Trainer) -> None:
        if self.is_due:
            self.is_due = False
            save_if_best(self.callback, trainer)


def watch_monitors(trainer: Trainer, *, prefixes: tuple[str, ...]) -> None:
    """Lets callbacks look only when `look` tells them to, if the names of their numbers begin with a prefix.

    A `ModelCheckpoint` with `every_n_train_steps`, `train_time_interval` or `every_n_epochs` above 1 keeps this
    interval. Without `filename`, its files are named after the number, its value and the thousands of images, such as
    `frechet_distance_12.3400_kimg_000160.000.ckpt`.

    Args:
        trainer: trainer whose callbacks look.
        prefixes: beginnings of the names that the caller logs, such as `metrics/`.
    """
    for callback in monitoring(trainer):
        if skips_own_looks(callback) or not str(callback.monitor).startswith(prefixes):
            continue
        if isinstance(callback, with_mirror(ModelCheckpoint)):
            if not has_no_interval(callback):
                continue
            if callback.filename is None:
                name = str(callback.monitor)
                callback.filename = f"{name.rsplit('/', 1)[-1]}_{{{name}:.4f}}_kimg_{{kimg:010.3f}}"
                callback.auto_insert_metric_name = False
            callback.on_train_batch_end = hook = Watch(callback)  # type: ignore[method-assign]
            callback.on_train_end = hook.at_end  # type: ignore[method-assign]
        skip_own_looks(callback)


def look(trainer: Trainer, names: Set[str]) -> None:
    """Lets the watched callbacks look at numbers that were logged just now. All ranks call it with the same names.

    `EarlyStopping` looks at once, and `ModelCheckpoint` at the end of the batch.

    Args:
        trainer: trainer whose callbacks look.
        names: names of the numbers, as in `trainer.callback_metrics`.
    """
    for callback in monitoring(trainer):
        if callback.monitor not in names or not skips_own_looks(callback):
            continue
        hook = vars(callback).get("on_train_batch_end")
        if isinstance(hook, Watch):
            hook.is_due = True
            continue
        stopped_before = trainer.should_stop
        look_now(callback, trainer)
        if trainer.should_stop and not stopped_before:
            trainer.lightning_module.print(f"EarlyStopping ends training: {callback.stopping_reason_message}")


def refuse_unseen(trainer: Trainer, *, known: Iterable[str]) -> None:
    """Refuses callbacks that would never look at their number, when training starts.

    Args:
        trainer: trainer whose callbacks look.
        known: names that are logged, as far as they are known.

    Raises:
        ValueError: if the epoch has no end and no validation in it, and a callback waits for one.
    """
    if trainer.num_training_batches != float("inf") or trainer.val_check_batch != float("inf"):
        return
    for callback in monitoring(trainer):
        has_interval = isinstance(callback, with_mirror(ModelCheckpoint)) and not has_no_interval(callback)
        if not skips_own_looks(callback) and not has_interval:
            problem = "would never be looked at, because the epoch has no end and this package does not log the number"
            raise ValueError(unknown_monitor(callback, known=known, problem=problem))


def unknown_monitor(callback: Any, *, known: Iterable[str], problem: str = "is a number that nothing logs") -> str:
    """The error message for a callback whose number is not logged.

    Args:
        callback: callback that has a `monitor`.
        known: names that are logged.
        problem: what is wrong with the monitor, as the end of a sentence.
    """
    names = sorted(known)
    close = get_close_matches(str(callback.monitor), names, n=1) or [
        name for name in names if name.rsplit("/", 1)[-1] == str(callback.monitor).rsplit("/", 1)[-1]
    ]
    remedy = f"did you mean {close[0]}? " if close else ""
    listed = (
        f"numbers that are logged: {', '.join(names)}" if names else "add a callback that logs it, or leave this out"
    )
    kind = type(callback).__name__
    return f"{kind}: monitor={callback.monitor!r} {problem}; {remedy}{listed}"


def monitoring(trainer: Trainer) -> Iterator[Any]:
    """The callbacks of a trainer that monitor a number: `ModelCheckpoint` and `EarlyStopping`."""
    kinds = (*with_mirror(ModelCheckpoint), *with_mirror(EarlyStopping))
    found: list[Any] = [callback for callback in trainer.callbacks if isinstance(callback, kinds)]  # type: ignore[attr-defined]
    return (callback for callback in found if callback.monitor is not None)
