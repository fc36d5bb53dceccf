"""What a measurement has computed of the real images, kept in a file, so that other runs on the same data need not."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_gan.atomic_files import cause_of, written_whole
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.tensors.fingerprints import fingerprint_of, fingerprint_of_tensor
from lightning_gan.user_cache import user_cache


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is kept: the rows of all real images, in their order.

    Attributes:
        parts: rows of all real images, one tensor `reals features` for each part of `Comparison.describe`.
        classes: class of each real image, `reals`; None if classes are not compared.
    """

    parts: list[Rows]
    classes: Tensor | None


@dataclass(frozen=True, kw_only=True)
class RealsFile:
    """The file of a measurement's rows.

    Args:
        asker: name of the callback, for what is printed.
        path: path of the file.
    """

    asker: str
    path: Path

    def load(self, device: torch.device) -> Known | None:
        """Reads the rows; None if there is no file, or one that cannot be read, which is said.

        Args:
            device: device on which the features are wanted.
        """
        if not self.path.is_file():
            return None
        try:
            content: Any = torch.load(self.path, weights_only=True, map_location=device)
            known = Known(parts=list(content["parts"]), classes=content["classes"])
        except Exception as error:  # whatever torch finds in a broken file
            rank_zero_warn(f"{self.asker}: {self.path} cannot be read ({type(error).__name__}) and is made anew")
            return None
        rank_zero_info(f"{self.asker}: what is known of {len(known.parts[0])} real images is read from {self.path}")
        return known

    def save(self, known: Known) -> None:
        """Writes the rows, whole or not at all. A place that cannot be written is said, and is no error."""
        content = io.BytesIO()
        torch.save({"parts": [part.cpu() for part in known.parts], "classes": known.classes}, content)
        try:
            with written_whole(self.path) as file:
                file.write(content.getbuffer())
        except OSError as error:  # training must not end, nor other ranks wait, for a cache
            rank_zero_warn(f"{self.asker}: the features of the real images cannot be kept ({cause_of(error)})")
            return
        rank_zero_info(f"{self.asker}: what is known of {len(known.parts[0])} real images is written to {self.path}")


def reals_file(
    trainer: Trainer,
    *,
    asker: str,
    limit: int | float,
    images: Tensor,
    rows: list[Rows],
    settings: Mapping[str, Any],
) -> RealsFile:
    """The file for the data, the preprocessing and the network of a measurement, in the user's cache.

    Its name changes with the data set's fingerprints, with the pixels of the first batch, and with the rows that the
    first images get, so that no list of settings has to be complete.

    Args:
        trainer: trainer that runs the measurement.
        asker: name of the callback.
        limit: largest number of batches that are read on each rank; infinite for all.
        images: rank 0's first batch of real images.
        rows: what `Comparison.describe` makes of the first of them, one tensor for each part.
        settings: what else the rows depend on.

    Raises:
        ValueError: if the data module does not identify its images.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    state = {} if data is None else data.state_dict()
    fingerprints = state.get("fingerprints")
    if not isinstance(fingerprints, Mapping) or not fingerprints:
        found = "there is no data module" if data is None else f"{type(data).__name__} does not identify its images"
        raise ValueError(
            f"{asker}: cache_reals=true needs data whose images are known, and {found}; give a data module of "
            "lightning_gan.data, or one whose state_dict has fingerprints, or leave cache_reals out"
        )
    identity = {
        "version": version("lightning-gan"),
        "asker": asker,
        "fingerprints": dict(fingerprints),
        "length": state.get("length"),
        "batches": str(limit),
        "ranks": trainer.world_size,
        "precision": str(trainer.precision),
        "first images": fingerprint_of_tensor(images),
        "first rows": [fingerprint_of_tensor(part) for part in rows],
        **settings,
    }
    try:
        folder = user_cache() / "lightning_gan" / "reals"
    except RuntimeError as error:
        raise ValueError(f"{asker}: cache_reals=true finds no home folder; set XDG_CACHE_HOME to a folder") from error
    name = fingerprint_of(json.dumps(identity, sort_keys=True).encode())
    return RealsFile(asker=asker, path=folder / f"{name}.pt")
