"""Figures of models with an encoder: real images beside their reconstructions, and ways from one image to another."""

import math
from abc import ABC
from collections.abc import Iterator
from typing import Any

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.evaluation.comparison import images_of
from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.foreign.sampling import few_at_a_time, sample_bytes
from lightning_gan.loop.autoencoder import autoencoder_of
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from lightning_gan.tensors.shapes import ImageBytes, Images


class FigureOfReals(PaperFigure, ABC):
    """A figure that needs some real images: the first that training meets.

    In `validate` and `test` of a run that has kept none it is some of the whole set, which may be sorted by classes.
    They are kept in checkpoints, so that the figures of a run show the same images all along, in `test` as well.

    Args:
        count: how many real images.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: see `PaperFigure`.
        directory: see `PaperFigure`.

    Attributes:
        reals: those met so far.
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
        self._keep(batch, until=self.count)

    def loop_batch(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, index: int, batches: int | float
    ) -> None:
        super().loop_batch(trainer, pl_module, batch, index=index, batches=batches)
        self._keep(batch, until=self._share(index, batches=batches))

    def shown_reals(self, module: GAN) -> Images:
        """The real images in [-1, 1], on the module's device; fewer than `count` if there were not more.

        Raises:
            ValueError: if there were none.
        """
        if not len(self.reals):
            raise ValueError(f"{type(self).__name__}: no real images came by; train or test on a batch at least")
        return from_bytes(self.reals[: self.count].to(module.device))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"reals": self.reals}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.reals = state_dict["reals"].cpu()

    def _share(self, batch_idx: int, *, batches: int | float) -> int:
        """How many images there should be after a batch, of a set that is as long as this."""
        return self.count if math.isinf(batches) else math.ceil(self.count * (batch_idx + 1) / batches)

    def _keep(self, batch: Any, *, until: int) -> None:
        missing = until - len(self.reals)
        if missing > 0:
            images = images_of(batch)[:missing]
            images = (images if images.dtype == torch.uint8 else to_bytes(images)).cpu()
            self.reals = torch.cat([self.reals, images]) if len(self.reals) else images


class ReconstructionGrid(FigureOfReals):
    """Real images, below each its reconstruction, and below that a sample: three rows, again and again.

    A reconstruction of `Autoencoder.reconstruct`; samples of the latents that other figures with this seed show.

    Args:
        columns: images per row.
        rows: how many times the three rows.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: use averaged weights, if an `EMA` callback is there.
        directory: see `PaperFigure`.

    Raises:
        ValueError: without images, or for a model without an encoder.
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
    """Ways from one real image to another: a row for each, the straight line between their codes, decoded.

    The first and the last image of a row are the real ones, those beside them their reconstructions.

    Args:
        rows: how many pairs.
        steps: decoded images of a row, both reconstructions included.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: use averaged weights, if an `EMA` callback is there.
        directory: see `PaperFigure`.

    Raises:
        ValueError: without rows, for fewer than 2 steps, or for a model without an encoder.
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
            raise ValueError(f"InterpolationGrid: steps={steps} must be at least 2, the two reconstructions")
        super().__init__(count=2 * rows, name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.steps = steps

    def pictures(self, module: GAN) -> Iterator[Picture]:
        reals = self.shown_reals(module)
        rows = len(reals) // 2
        if rows == 0:
            raise ValueError("InterpolationGrid: one real image alone came by; a way needs two")
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
