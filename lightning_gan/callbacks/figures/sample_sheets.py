"""Figures of uncurated samples of a GAN, and of the effect of truncation."""

import math
from collections.abc import Iterator, Sequence

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.figures.figure import columns_for
from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table, image_grid
from lightning_gan.foreign.host_sampling import sample_bytes
from lightning_gan.loop.gan import GAN


class TruncationSweep(PaperFigure):
    """Draws samples from the same latents with different truncations: one row per latent, one column per truncation.

    It is figure 8 of StyleGAN (Karras et al. 2019, arXiv:1812.04948), where a truncation of 0 gives the mean face and
    negative values give opposite faces. The figure works for every GAN whose `sample` supports `truncation`; values
    that the model does not support are refused before training.

    Args:
        truncations: values of `GAN.sample(truncation=...)`, psi in StyleGAN's figure.
        rows: number of latents, one per row.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for rows below 1, for no truncations or values that are not finite, and before training for values
            that the model does not support.
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
            raise ValueError(
                f"TruncationSweep: truncations={list(truncations)} must be finite numbers, and at least one"
            )
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
    """Draws uncurated samples: one sheet for each of several consecutive seeds, and optionally a file for every image.

    The sheet `figures/samples/kimg_000160.000/sheet_0003.png` shows samples from the latents of `GAN.draw_latents` with
    the seed `seed + 3`. The labels of a sheet are the classes 0, 1, 2 and so on in turn; if each column holds one
    class, its label names the class.

    Args:
        sheets: number of sheets.
        rows: number of rows of images on a sheet.
        columns: number of images per row; None is one per class if there are 2 to 16 classes, else 8.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        images: whether every image is also written to a file of its own, in its own size, such as
            `kimg_000160.000/images/000012.png`.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise; it is the seed of the first sheet.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for counts below 1, and before training for a truncation that the model does not support.
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
