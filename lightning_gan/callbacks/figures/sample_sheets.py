"""Uncurated samples of a GAN, and what truncation makes of them."""

import math
from collections.abc import Iterator, Sequence

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.figures.figure import columns_for
from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table, image_grid
from lightning_gan.foreign.sampling import sample_bytes
from lightning_gan.loop.gan import GAN


class TruncationSweep(PaperFigure):
    """The same latents under stronger and stronger truncation: a row for each, a column for each strength.

    Figure 8 of StyleGAN (Karras et al. 2019, arXiv:1812.04948), where 0 is the mean face and negative values are its
    opposites. For every GAN whose `sample` takes `truncation`; which values that are is the model's affair, and one
    that it does not take is refused before training.

    Args:
        truncations: values of `GAN.sample(truncation=...)`, psi in StyleGAN's figure.
        rows: how many latents.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: see `PaperFigure`.
        directory: see `PaperFigure`.

    Raises:
        ValueError: without rows or finite truncations.
    """

    def __init__(
        self,
        *,
        truncations: Sequence[float] = (1.0, 0.7, 0.5, 0.0, -0.5, -1.0),
        rows: int = 4,
        name: str = "truncation",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        if not truncations or not all(math.isfinite(value) for value in truncations):
            raise ValueError(f"TruncationSweep: truncations={list(truncations)} must be finite numbers, one at least")
        check_counts(type(self).__name__, rows=rows)
        super().__init__(name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.truncations = list(truncations)
        self.rows = rows

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.try_truncations(trainer, pl_module, self.truncations)

    def pictures(self, module: GAN) -> Iterator[Picture]:
        latents, labels = module.draw_latents(self.rows, seed=self.seed)
        columns = []
        for truncation in self.truncations:
            self.seed_noise()
            columns.append(sample_bytes(module, latents, labels, truncation=truncation, ema=self.ema))
        rows = list(torch.stack(columns, dim=1))  # columns channels height width, each
        labels_above = [f"truncation {truncation:g}" for truncation in self.truncations]
        yield Picture(pixels=Table(rows=rows, column_labels=labels_above).drawn())


class SampleSheets(PaperFigure):
    """Uncurated samples: sheets of consecutive seeds, and on request a file for every image, nothing left out.

    A sheet is `figures/samples/kimg_000160.000/sheet_0003.png`, its latents those of `GAN.draw_latents` with the third
    seed after `seed`. The labels of a sheet go through the classes in turn; where columns are classes, they say so.

    Args:
        sheets: how many.
        rows: rows of images on a sheet.
        columns: images per row; None is one per class if there are 2 to 16, else 8.
        truncation: passed to `GAN.sample`; 1 shows the whole distribution.
        images: write every image also on its own, in its own size: `kimg_000160.000/images/000012.png`.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: see `PaperFigure`.
        directory: see `PaperFigure`.

    Raises:
        ValueError: for sheets without images.
    """

    def __init__(
        self,
        *,
        sheets: int = 4,
        rows: int = 8,
        columns: int | None = None,
        truncation: float = 1.0,
        images: bool = False,
        name: str = "samples",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, sheets=sheets, rows=rows, columns=columns)
        super().__init__(name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.sheets = sheets
        self.rows = rows
        self.columns = columns
        self.truncation = truncation
        self.images = images

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.try_truncations(trainer, pl_module, [self.truncation])

    def pictures(self, module: GAN) -> Iterator[Picture]:
        classes = module.number_of_classes
        columns = self.columns or columns_for(classes)
        columns_are_classes = classes > 1 and columns % classes == 0
        labels_above = [f"class {column % classes}" for column in range(columns)] if columns_are_classes else []
        count = self.rows * columns
        for sheet in range(self.sheets):
            latents, labels = module.draw_latents(count, seed=self.seed + sheet)
            self.seed_noise(sheet)
            images = sample_bytes(module, latents, labels, truncation=self.truncation, ema=self.ema)
            rows = list(rearrange(images, "(rows columns) c h w -> rows columns c h w", columns=columns))
            table = Table(rows=rows, column_labels=labels_above)
            yield Picture(pixels=table.drawn(), part=f"/sheet_{sheet:04d}")
            for index, image in enumerate(images if self.images else []):
                of_class = "" if labels is None else f"_class_{int(labels[index])}"
                part = f"/images/{sheet * count + index:06d}{of_class}"
                yield Picture(pixels=image_grid(image[None], columns=1), part=part, is_logged=False)
