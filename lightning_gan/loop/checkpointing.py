"""Atomic writing of checkpoint files.

Lightning writes a checkpoint to `$TMPDIR` and renames it. If that is on another file system, as on most clusters, the
file is copied, and a process that is killed during the copy leaves an incomplete file under the final name.
"""

from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_gan.atomic_files import written_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin, `Trainer(plugins=[AtomicCheckpointIO()])`, that never leaves an incomplete file.

    If the process is killed while it writes, the previous file is unchanged. Loading is restricted to tensors and plain
    types (`weights_only=True`) unless the caller passes False. Lightning writes files that are not on a local file
    system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint file.

        Args:
            checkpoint: content of the checkpoint.
            path: path of the file that is written.
            storage_options: must be None, as in Lightning.

        Raises:
            TypeError: if `storage_options` is not None.
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
            path: local path or URL of the file.
            map_location: device that tensors are loaded to, with the meaning that it has in `torch.load`.
            weights_only: False also runs pickled code. Use it only for files from a trusted source.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        return super().load_checkpoint(path, map_location, weights_only=weights_only is not False)
