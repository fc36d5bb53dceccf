"""Figures of models with an encoder: reconstructions of real images, and interpolations between their codes."""

import math
from abc import ABC
from collections.abc import Iterator
from typing import Any

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.host_sampling import few_at_a_time, sample_bytes
from lightning_gan.foreign.real_images import RealSettings
from lightning_gan.loop.autoencoder import autoencoder_of
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from lightning_gan.tensors.shapes import ImageBytes, Images


class FigureOfReals(PaperFigure, ABC):
    """A figure that shows real images: the first ones of training.

    In `validate` and `test` of a run that has kept no images, it takes images from all parts of the data set, which may
    be sorted by classes. The images are saved in checkpoints, so that all figures of a run show the same ones.

    Args:
        count: number of real images to keep.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether averaged weights are used, if an `EMA` callback is there.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Attributes:
        reals: uint8 images that were kept so far, `batch channels height width`, in main memory.
    """

    def __init__(
        self, *, count: int, name: str, every_kimg: float | None, seed: int, ema: bool, directory: str | None
    ) -> None:
        super().__init__(name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.count = count
        self.reals: ImageBytes = torch.zeros(0, 1, 1, 1, dtype=torch.uint8)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        autoencoder_of(pl_module, asker=type(self).__name__)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._keep(pl_module, batch, until=self.count)

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        super().loop_batch(trainer, pl_module, batch, index=index, batches=batches)
        self._keep(pl_module, batch, until=self._share(index, batches=batches))

    def shown_reals(self, module: GAN) -> Images:
        """Returns the real images, `batch channels height width`, in [-1, 1], on the module's device.

        There are fewer than `count` images if fewer were read.

        Raises:
            ValueError: if no real image was read.
        """
        if not len(self.reals):
            raise ValueError(f"{type(self).__name__}: no real images were read; train or test on at least one batch")
        return from_bytes(self.reals[: self.count].to(module.device))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"reals": self.reals}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.reals = state_dict["reals"].cpu()

    def _share(self, batch_idx: int, *, batches: int | float) -> int:
        """Number of images to have kept after a batch, so that they come from all parts of the loop's `batches`."""
        return self.count if math.isinf(batches) else math.ceil(self.count * (batch_idx + 1) / batches)

    def _keep(self, pl_module: LightningModule, batch: Any, *, until: int) -> None:
        missing = until - len(self.reals)
        if missing > 0:
            reals = host_of(pl_module).real_images(RealSettings(asker=type(self).__name__))
            images = reals.images(batch)[:missing]
            images = (images if images.dtype == torch.uint8 else to_bytes(images)).cpu()
            self.reals = torch.cat([self.reals, images]) if len(self.reals) else images


class ReconstructionGrid(FigureOfReals):
    """Draws groups of three rows: real images, their reconstructions below them, and samples.

    `Autoencoder.reconstruct` computes the reconstructions. The samples are made from the same latents as those of other
    figures with the same seed.

    Args:
        columns: number of images per row.
        rows: number of groups of three rows.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether averaged weights are used, if an `EMA` callback is there.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for counts below 1, for a model without an encoder, and if no real image was read.
    """

    def __init__(
        self,
        *,
        columns: int = 10,
        rows: int = 3,
        name: str = "reconstructions",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, columns=columns, rows=rows)
        super().__init__(
            count=columns * rows, name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory
        )
        self.columns = columns

    def pictures(self, module: GAN) -> Iterator[Picture]:
        reals = self.shown_reals(module)
        columns = min(self.columns, len(reals))
        rows = len(reals) // columns
        count = rows * columns
        autoencoder = autoencoder_of(module, asker=type(self).__name__)
        self.seed_noise()
        parts = [to_bytes(autoencoder.reconstruct(reals[few], ema=self.ema)).cpu() for few in few_at_a_time(count)]
        latents, labels = module.draw_latents(count, seed=self.seed)
        samples = sample_bytes(module, latents, labels, ema=self.ema)
        kinds = torch.stack([to_bytes(reals[:count]).cpu(), torch.cat(parts)[:count], samples])
        table = rearrange(kinds, "kind (rows columns) c h w -> (rows kind) columns c h w", columns=columns)
        yield Picture(
            pixels=Table(
                rows=list(table),
                row_labels=["real", "reconstruction", "sample"] * rows,
                gaps_above=range(3, 3 * rows, 3),
            ).drawn()
        )


class InterpolationGrid(FigureOfReals):
    """Draws interpolations between pairs of real images: each row decodes points on the line between two codes.

    The first and the last image of a row are the real images; their neighbours are the reconstructions.

    Args:
        rows: number of pairs of real images.
        steps: number of decoded images per row, both reconstructions included; at least 2.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the networks' noise.
        ema: whether averaged weights are used, if an `EMA` callback is there.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for fewer than 1 row or 2 steps, for a model without an encoder, and if fewer than two real images
            were read.
    """

    def __init__(
        self,
        *,
        rows: int = 6,
        steps: int = 9,
        name: str = "interpolations",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, rows=rows)
        if steps < 2:
            raise ValueError(f"InterpolationGrid: steps={steps} must be at least 2, for the two reconstructions")
        super().__init__(count=2 * rows, name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.steps = steps

    def pictures(self, module: GAN) -> Iterator[Picture]:
        reals = self.shown_reals(module)
        rows = len(reals) // 2
        if rows == 0:
            raise ValueError(
                "InterpolationGrid: only 1 real image was read, but an interpolation needs 2; train or test on more"
            )
        first, second = reals[:rows], reals[rows : 2 * rows]
        autoencoder = autoencoder_of(module, asker=type(self).__name__)
        self.seed_noise()
        ways = [
            autoencoder.interpolate(first[one : one + 1], second[one : one + 1], steps=self.steps, ema=self.ema)
            for one in range(rows)
        ]
        shown: list[Tensor] = [
            torch.cat([to_bytes(part).cpu() for part in (first[one : one + 1], way[0], second[one : one + 1])])
            for one, way in enumerate(ways)
        ]
        labels = ["real", *["decoded codes"] * self.steps, "real"]
        yield Picture(
            pixels=Table(rows=shown, column_labels=labels, gaps_left=(1, self.steps + 1)).drawn(),
        )
