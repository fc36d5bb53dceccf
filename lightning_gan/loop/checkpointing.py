"""Checkpoint files that are whole or not there.

Lightning's own files are renamed from `$TMPDIR`. Where that is another file system, as on most clusters, the rename
is a copy, and a kill in the middle leaves half a file under the final name.
"""

from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_gan.atomic_files import written_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a kill at any time leaves the previous file whole; for `Trainer(plugins=[...])`.

    Loading is restricted to tensors and plain types (`weights_only=True`) unless the caller asks otherwise. Files that
    are not on a local file system are written by Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint file.

        Args:
            checkpoint: what to save.
            path: where to.
            storage_options: refused, as by Lightning.

        Raises:
            TypeError: if storage options are given.
        """
        filesystem, local_path = url_to_fs(str(path))
        if storage_options is not None or not isinstance(filesystem, LocalFileSystem):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with written_whole(Path(local_path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint file.

        Args:
            path: where from; a local path or a URL.
            map_location: as in `torch.load`.
            weights_only: False also runs pickled code, which only files from a trusted source deserve.

        Raises:
            FileNotFoundError: if there is none.
        """
        return super().load_checkpoint(path, map_location, weights_only=weights_only is not False)
