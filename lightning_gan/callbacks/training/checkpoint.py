"""Checkpoints at intervals of images seen.

Lightning's own triggers count optimizer steps, or never act in manual optimization.
"""

import os
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_gan.atomic_files import why_not_writable
from lightning_gan.callbacks.training.pauses import pausing
from lightning_gan.compat import ChoosesDirectoryEarly, join_mirror, record_checkpoint_of
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.loop.checkpointing import (
    EARLIER_RUN,
    LAST,
    PREVIOUS,
    CheckpointError,
    newest_whole_checkpoint,
    save_together,
)
from lightning_gan.loop.finite_checkpoint import first_non_finite


class KimgCheckpoint(ImageClock, ChoosesDirectoryEarly):
    """Writes `last.ckpt` every `every_kimg` thousand images and at the end of fit; `--ckpt_path last` finds it.

    Each save is made between two batches. It replaces `last.ckpt`, and the file that was there becomes `previous.ckpt`,
    so that the run needs the disk space of two checkpoints, and of three while it saves. When a run that does not
    continue this checkpoint starts in the same directory, the old file is renamed to `earlier_run_1.ckpt`,
    `earlier_run_2.ckpt` ... `ckpt_path="last"` takes the newest checkpoint of the directory that is whole, and says
    which it skipped.

    A checkpoint with a weight or an optimizer state that is not finite is not written, neither by this callback nor by
    another one of the same trainer: training stops, and the earlier files stay. If a file cannot be written, because
    the disk is full for example, training goes on and the next save tries again; at the end of training it is an error.

    It may stand beside Lightning's `ModelCheckpoint`.

    Args:
        every_kimg: thousands of images between two saves of `last.ckpt`.
        keep_every_kimg: thousands of images between checkpoints that are never overwritten, such as
            `kimg_000500.000.ckpt`; None writes none of them.
        keep_previous: whether the file before `last.ckpt` is kept as `previous.ckpt`.
        stop_on_failed_save: whether training stops when a file cannot be written.
        dirpath: directory of the checkpoints; None is `checkpoints` in the trainer's `default_root_dir`.

    Raises:
        ValueError: if an interval is less than one image.
        CheckpointError: before training if the directory cannot be written to, and in training as said above.
    """

    def __init__(
        self,
        *,
        every_kimg: float = 10.0,
        keep_every_kimg: float | None = None,
        keep_previous: bool = True,
        stop_on_failed_save: bool = False,
        dirpath: str | None = None,
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
        self.keep_previous = keep_previous
        self.stop_on_failed_save = stop_on_failed_save
        self._every_images = images_of_kimg("KimgCheckpoint: every_kimg", every_kimg)
        self._keep_every_images = (
            None if keep_every_kimg is None else images_of_kimg("KimgCheckpoint: keep_every_kimg", keep_every_kimg)
        )
        self._trained = False
        self._images_in_last: int | None = None
        join_mirror(self, ModelCheckpoint)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.choose_directory(trainer)
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and not _saves_nothing(trainer) and self._folder is not None:
            cause = why_not_writable(self._folder) if trainer.is_global_zero else None
            if cause := trainer.strategy.broadcast(cause):
                raise CheckpointError(
                    f"KimgCheckpoint: checkpoints cannot be written to {self.dirpath}: {cause}; make the folder "
                    "writable, or choose another one (--trainer.default_root_dir, or dirpath)"
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._trained = False
        if trainer.ckpt_path and os.path.realpath(trainer.ckpt_path) == os.path.realpath(self._path(LAST)):
            self._images_in_last = self.images_seen
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
            self._save(trainer, f"kimg_{self.kimg:010.3f}{self.FILE_EXTENSION}", goes_on=not self.stop_on_failed_save)
        if self._crosses(self._every_images):
            self._save(trainer, LAST, goes_on=not self.stop_on_failed_save)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because saves depend on the number of images only."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing, because saves depend on the number of images only."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Also if the last batch was saved, because validation and other callbacks may have changed their state since.
        if self._trained:
            self.save_now(trainer)

    def save_now(self, trainer: Trainer) -> None:
        """Write `last.ckpt` now, between two batches. Every rank has to call it.

        Raises:
            CheckpointError: if it cannot be written, or a tensor in it is not finite.
        """
        if not _saves_nothing(trainer):
            self._save(trainer, LAST, goes_on=False)

    def save_if_possible(self, trainer: Trainer) -> bool:
        """Write `last.ckpt` now, between two batches, and return whether it was written. Every rank has to call it.

        If it cannot be written, this is said, and training goes on unless `stop_on_failed_save` is set.

        Raises:
            CheckpointError: if it cannot be written and training shall stop, or if a tensor in it is not finite.
        """
        return not _saves_nothing(trainer) and self._save(trainer, LAST, goes_on=not self.stop_on_failed_save)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        found = first_non_finite(checkpoint, buffers={name for name, _ in pl_module.named_buffers()})
        if not trainer.strategy.reduce_boolean_decision(found is None, all=True):
            raise CheckpointError(
                f"KimgCheckpoint: {found or 'a tensor of another rank'} is not finite at kimg {self.kimg:.3f}, so that "
                f"no checkpoint was written and the earlier ones in {self.dirpath} are unchanged; lower the learning "
                "rates, and go on from the newest of them (--resume)"
            )

    def state_dict(self) -> dict[str, Any]:
        # Empty: no checkpoint is the best one here, and the saved paths would not be those of another run.
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing, because the saved state is empty."""

    def _crosses(self, every_images: int) -> bool:
        return crosses_multiple(self.images_before, self.images_seen, every_images=every_images)

    @property
    def _folder(self) -> Path | None:
        """The directory, or None if it is not on a local file system."""
        filesystem, folder = url_to_fs(str(self.dirpath))
        return Path(folder) if isinstance(filesystem, LocalFileSystem) else None

    def _path(self, name: str) -> str:
        return os.path.join(str(self.dirpath), name)

    def _save(self, trainer: Trainer, name: str, *, goes_on: bool) -> bool:
        """Write a checkpoint. If this fails, warn and return False if `goes_on` is True, else raise an error."""
        path = self._path(name)
        if self._folder is not None and not self._folder.is_dir():
            rank_zero_warn(f"KimgCheckpoint: the folder {self.dirpath} has vanished in training; it is made again")
        # A second save after the same batch replaces the first one, so that `previous.ckpt` is of an earlier batch.
        keeps = name == LAST and self.keep_previous and self._images_in_last != self.images_seen
        previous = self._path(PREVIOUS) if keeps else None
        with pausing(trainer, type(self).__name__):
            cause = save_together(trainer, path, previous=previous, weights_only=self.save_weights_only)
        if cause is None:
            if name == LAST:
                self.last_model_path, self._images_in_last = path, self.images_seen
            record_checkpoint_of(self, trainer, path)
            return True
        failed = (
            f"KimgCheckpoint: {path} could not be written at kimg {self.kimg:.3f}: {cause}; earlier files are whole"
        )
        if not goes_on:
            raise CheckpointError(f"{failed}. Make it possible to write there, and go on with --resume")
        rank_zero_warn(f"{failed}, training goes on, and the next save tries again")
        return False

    def _keep_earlier_run(self, trainer: Trainer) -> None:
        """Rename the `last.ckpt` and the `previous.ckpt` of a run that this one does not continue."""
        continued = (str(trainer.ckpt_path or ""), self.last_model_path)  # the second is of this trainer's earlier fit
        real = [os.path.realpath(path) for path in continued if path]
        last = self._path(LAST)
        if os.path.realpath(last) in real:
            return
        filesystem, _ = url_to_fs(last)
        number = 1
        while filesystem.exists(self._path(f"{EARLIER_RUN}{number}{self.FILE_EXTENSION}")):
            number += 1
        for old, suffix in ((last, ""), (self._path(PREVIOUS), "_previous")):
            if os.path.realpath(old) not in real and filesystem.exists(old):
                kept = self._path(f"{EARLIER_RUN}{number}{suffix}{self.FILE_EXTENSION}")
                filesystem.mv(old, kept, recursive=True)
                rank_zero_info(f"KimgCheckpoint: this run does not continue {old}; the file was renamed to {kept}")

    # ------------------------------------------------------------------ the directory

    def choose_directory(self, trainer: Trainer) -> None:
        """Sets `dirpath` to `checkpoints` in the trainer's `default_root_dir`, if it was not given."""
        if self.dirpath is None:
            self.dirpath = os.path.join(trainer.default_root_dir, "checkpoints")

    def last_checkpoints(self, found: set[str]) -> set[str]:
        """The newest checkpoint of the directory that is whole.

        Raises:
            CheckpointError: if there are checkpoints and none is whole.
        """
        if self._folder is None:
            return found
        newest = newest_whole_checkpoint(self._folder)
        for reason in newest.skipped:
            rank_zero_warn(f"KimgCheckpoint: skipped a checkpoint: {reason}")
        if newest.path is None and newest.skipped:
            raise CheckpointError(
                f"KimgCheckpoint: {self.dirpath} has no checkpoint that is whole: {newest.skipped[0]}; move the files "
                "away to begin anew"
            )
        return set() if newest.path is None else {str(newest.path)}


def _saves_nothing(trainer: Trainer) -> bool:
    """Whether this is a `fast_dev_run`, which writes no checkpoints."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
