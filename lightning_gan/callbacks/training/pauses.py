"""Pauses of training, in which callbacks measure, draw or save, and the callbacks that are told of them."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import Callback, Trainer


class SeesPauses(Callback):
    """A callback that is told when training pauses, and how far the work in the pause is."""

    @abstractmethod
    def begin_pause(self, trainer: Trainer, title: str) -> None:
        """Called on every rank when a pause begins.

        Args:
            trainer: trainer that trains, validates or tests.
            title: what is done in the pause, such as "Evaluation".
        """

    def show_work(self, trainer: Trainer, *, what: str, done: int, of: int | None) -> None:
        """Called in a pause when a part of its work is done. The base class does nothing.

        Args:
            trainer: trainer that trains, validates or tests.
            what: what is counted, such as "generated images".
            done: how many are done.
            of: how many there are; None if that is not known.
        """

    @abstractmethod
    def end_pause(self, trainer: Trainer) -> None:
        """Called on every rank when a pause ends, also by an error."""


@contextmanager
def pausing(trainer: Trainer, title: str) -> Iterator[None]:
    """Context manager inside of which training pauses. The device has first finished what it was given.

    Args:
        trainer: trainer whose callbacks are told.
        title: what is done in the pause, such as "Evaluation".
    """
    watchers = [callback for callback in trainer.callbacks if isinstance(callback, SeesPauses)]  # type: ignore[attr-defined]
    if watchers and trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)  # so that the pause does not get the time of training
    for watcher in watchers:
        watcher.begin_pause(trainer, title)
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.end_pause(trainer)


def show_work(trainer: Trainer, *, what: str, done: int, of: int | None) -> None:
    """Tell callbacks how far the work in a pause is.

    Args:
        trainer: trainer whose callbacks are told.
        what: what is counted, such as "generated images".
        done: how many are done.
        of: how many there are; None if that is not known.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, SeesPauses):
            callback.show_work(trainer, what=what, done=done, of=of)
