"""The command `generate`."""

from pathlib import Path


def generate(checkpoint: Path, *, seeds: str = "0-15") -> None:
    """Make images of a checkpoint.

    Args:
        checkpoint: a checkpoint file or the folder of a run.
        seeds: numbers of images, such as 0-99 or 1,5,7.
    """
    print(checkpoint, seeds)
