"""The command `ema`: makes a checkpoint whose averaged weights have another length than those of training."""

from pathlib import Path

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks.training.power_function_ema import FOLDER
from lightning_gan.callbacks.training.reconstructed_ema import load_reconstructed_weights
from lightning_gan.inference.load import load_with_settings
from lightning_gan.loop.checkpoint_hash import save_with_hash
from lightning_gan.loop.checkpointing import read_checkpoint

TRAINING_STATE = ("callbacks", "loops", "lr_schedulers", "optimizer_states")
"""Parts of a checkpoint that only a training needs, which does not go on with these weights."""


def ema(run: str, out: str, *, relative_width: float = 0.1, kimg: float | None = None) -> None:
    """Make a checkpoint with averaged weights of any length, of a run that had the callback `PowerFunctionEMA`.

    The averages that it saved during training are combined by least squares (post-hoc EMA, Karras et al. 2024,
    arXiv:2312.02696). The result is for `generate`, `test --ckpt_path`, `export` and all other commands; to find the
    best length, measure several.

    Args:
        run: folder of the run, such as runs/stylegan.
        out: checkpoint that is written, such as width_0.15.ckpt; it must not exist.
        relative_width: length of the average, as a share of the length of training: the standard deviation of the
            times of its weights, above 0 and below 0.288.
        kimg: end of the average in thousands of images, at which averages were saved; the last ones by default.
    """
    target, folder = Path(out), Path(run)
    if target.exists():
        raise ValueError(f"{target} exists, and nothing is overwritten; give another name")
    if folder.is_file():
        raise ValueError(f"{folder} is a file; give the folder of its run, which has the folder {FOLDER}")
    loaded = load_with_settings(folder)
    made = load_reconstructed_weights(loaded.model, folder / FOLDER, relative_width=relative_width, kimg=kimg)
    content = read_checkpoint(loaded.file, for_training=False)
    content = {key: value for key, value in content.items() if key not in TRAINING_STATE}
    with written_whole(target) as file:
        save_with_hash({**content, "state_dict": loaded.model.state_dict()}, file)
    print(
        f"{target}: averaged weights of the relative width {relative_width:g} at {made.images_seen / 1000:g} kimg, of "
        f"{made.files} files; `lightning-gan generate {target}` samples from them"
    )
