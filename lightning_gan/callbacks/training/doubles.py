"""Callbacks of which two may work side by side, unless they would do the same thing twice."""

from lightning.pytorch import Callback, Trainer


def refuse_doubles(callback: Callback, trainer: Trainer, *, setting: str) -> None:
    """Refuse a second callback of the same kind with the same `state_key`.

    Lightning does it only for callbacks that save a state.

    Args:
        callback: one of the trainer's.
        trainer: with the callbacks.
        setting: the argument that has to differ, for the error.

    Raises:
        ValueError: if there is another one.
    """
    alike = [other for other in trainer.callbacks if other.state_key == callback.state_key]  # type: ignore[attr-defined]
    if len(alike) > 1:
        name = type(callback).__name__
        raise ValueError(f"{name}: the trainer has {len(alike)} of them with the same {setting}; give each its own")
