"""The check that a trainer has no two callbacks that do the same thing."""

from lightning.pytorch import Callback, Trainer


def refuse_doubles(callback: Callback, trainer: Trainer, *, setting: str) -> None:
    """Refuses a second callback of the same class with the same `state_key`.

    Lightning refuses only callbacks that save a state.

    Args:
        callback: callback of the trainer that is checked.
        trainer: trainer that has the callbacks.
        setting: argument in which such callbacks have to differ, for the error message.

    Raises:
        ValueError: if another callback of the trainer has the same `state_key`.
    """
    alike = [other for other in trainer.callbacks if other.state_key == callback.state_key]  # type: ignore[attr-defined]
    if len(alike) > 1:
        name = type(callback).__name__
        raise ValueError(f"{name}: the trainer has {len(alike)} of them with the same {setting}; give each its own")
