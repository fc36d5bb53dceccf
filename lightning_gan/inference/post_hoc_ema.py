"""Makes a checkpoint whose averaged weights have another length than those of training: the work of `ema`."""

from dataclasses import dataclass
from pathlib import Path

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks.training.power_function_ema import FOLDER
from lightning_gan.callbacks.training.reconstructed_ema import ReconstructedEMA, load_reconstructed_weights
from lightning_gan.inference.load import LoadedModel, load_with_settings
from lightning_gan.loop.checkpoint_hash import save_with_hash
from lightning_gan.loop.checkpointing import read_checkpoint

TRAINING_STATE = ("callbacks", "loops", "lr_schedulers", "optimizer_states")
"""Parts of a checkpoint that only a training needs, which does not go on with these weights."""


@dataclass(frozen=True, kw_only=True)
class AveragedRun:
    """A run that had the callback `PowerFunctionEMA`, and the model of its newest checkpoint.

    Attributes:
        folder: folder of the run.
        loaded: the model and its checkpoint.
    """

    folder: Path
    loaded: LoadedModel

    def write(self, target: Path, *, relative_width: float, kimg: float | None) -> ReconstructedEMA:
        """Write a checkpoint with averaged weights of a length, whole or not at all, and return the average.

        Args:
            target: file that is written.
            relative_width: length of the average, as a share of the length of training, above 0 and below 0.288.
            kimg: end of the average in thousands of images, at which averages were saved; None takes the last ones.

        Raises:
            ValueError: for a width out of range, a time without averages, and averages of another network.
        """
        model, averages = self.loaded.model, self.folder / FOLDER
        made = load_reconstructed_weights(model, averages, relative_width=relative_width, kimg=kimg)
        content = read_checkpoint(self.loaded.file, for_training=False)
        content = {key: value for key, value in content.items() if key not in TRAINING_STATE}
        with written_whole(target) as file:
            save_with_hash({**content, "state_dict": model.state_dict()}, file)
        return made


def averaged_run(folder: Path) -> AveragedRun:
    """A run whose averages can be made into others.

    Args:
        folder: folder of the run.

    Raises:
        ValueError: if it is a file.
        CheckpointError: if it has no whole checkpoint.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; give the folder of its run, which has the folder {FOLDER}")
    return AveragedRun(folder=folder, loaded=load_with_settings(folder))
