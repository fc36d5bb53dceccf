"""Checkpoints at intervals of images seen.

Lightning's own triggers count optimizer steps, or never act in manual optimization.
"""

import os
from typing import Any

from fsspec.core import url_to_fs
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from lightning_gan.compat import ChoosesDirectoryEarly, join_mirror, save_as_checkpoint_of
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg


class KimgCheckpoint(ImageClock, ChoosesDirectoryEarly):
    """Writes `last.ckpt` every `every_kimg` thousand images and at the end of fit; `--ckpt_path last` finds it.

    Each save overwrites `last.ckpt`, always between two batches. When a run that does not continue this checkpoint
    starts in the same directory, the old file is renamed to `earlier_run_1.ckpt`, `earlier_run_2.ckpt` ...

    Args:
        every_kimg: thousands of images between two saves of `last.ckpt`.
        keep_every_kimg: thousands of images between checkpoints that are never overwritten, such as
            `kimg_000500.000.ckpt`; None writes none of them.
        dirpath: directory of the checkpoints; None is `checkpoints` in the trainer's `default_root_dir`.

    Raises:
        ValueError: if an interval is less than one image.
    """

    def __init__(
        self, *, every_kimg: float = 10.0, keep_every_kimg: float | None = None, dirpath: str | None = None
    ) -> None:
        # Intervals of 0 switch Lightning's triggers off.
        ModelCheckpoint.__init__(
            self,
            dirpath=dirpath,
            save_last=True,
            save_top_k=0,
            every_n_train_steps=0,
            every_n_epochs=0,
        )
        self.every_kimg = every_kimg
        self.keep_every_kimg = keep_every_kimg
        self._every_images = images_of_kimg("KimgCheckpoint: every_kimg", every_kimg)
        self._keep_every_images = (
            None if keep_every_kimg is None else images_of_kimg("KimgCheckpoint: keep_every_kimg", keep_every_kimg)
        )
        self._trained = False
        join_mirror(self, ModelCheckpoint)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.choose_directory(trainer)
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._trained = False
        if trainer.is_global_zero and not _saves_nothing(trainer):
            self._keep_earlier_run(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        ImageClock.on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx)
        self._trained = True
        if _saves_nothing(trainer):
            return
        if self._keep_every_images is not None and self._crosses(self._keep_every_images):
            save_as_checkpoint_of(self, trainer, self._path(f"kimg_{self.kimg:010.3f}"))
        if self._crosses(self._every_images):
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because saves depend on the number of images only."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because saves depend on the number of images only."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Also if the last batch was saved, because validation and other callbacks may have changed their state since.
        if self._trained and not _saves_nothing(trainer):
            self._save_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        # Empty: no checkpoint is the best one here, and the saved paths would not be those of another run.
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing, because the saved state is empty."""

    def _crosses(self, every_images: int) -> bool:
        return crosses_multiple(self.images_before, self.images_seen, every_images=every_images)

    def _path(self, name: str) -> str:
        return os.path.join(str(self.dirpath), f"{name}{self.FILE_EXTENSION}")

    def _save_last(self, trainer: Trainer) -> None:
        self.last_model_path = self._path(self.CHECKPOINT_NAME_LAST)
        save_as_checkpoint_of(self, trainer, self.last_model_path)

    def _keep_earlier_run(self, trainer: Trainer) -> None:
        """Rename the `last.ckpt` of a run that this one does not continue."""
        last = self._path(self.CHECKPOINT_NAME_LAST)
        filesystem, _ = url_to_fs(last)
        continued = (str(trainer.ckpt_path or ""), self.last_model_path)  # the second is of this trainer's earlier fit
        if os.path.realpath(last) in (os.path.realpath(path) for path in continued if path) or not filesystem.exists(
            last
        ):
            return
        number = 1
        while filesystem.exists(kept := self._path(f"earlier_run_{number}")):
            number += 1
        filesystem.mv(last, kept, recursive=True)
        rank_zero_info(f"KimgCheckpoint: this run does not continue {last}; the file was renamed to {kept}")

    # ------------------------------------------------------------------ the directory

    def choose_directory(self, trainer: Trainer) -> None:
        """Sets `dirpath` to `checkpoints` in the trainer's `default_root_dir`, if it was not given."""
        if self.dirpath is None:
            self.dirpath = os.path.join(trainer.default_root_dir, "checkpoints")


def _saves_nothing(trainer: Trainer) -> bool:
    """Whether this is a `fast_dev_run`, which writes no checkpoints."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
