"""Figures of papers, of a GAN in training or trained: the common part, the truncation sweep and the uncurated sheets.

The figures that take the styles of StyleGAN apart are in `style_figures.py`, the growing grid in `growing_grid.py`.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng

from lightning_gan.callbacks.figures.figure import Drawing, columns_for, sample_bytes
from lightning_gan.callbacks.figures.pictures import Grid, Table, image_grid
from lightning_gan.callbacks.training.clock import check_makes_images
from lightning_gan.compat import state_key_of
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.seeds import derived_seed


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a figure.

    Args:
        pixels: what it shows.
        part: what follows the figure's name and the kimg in the file's name, such as `_layers`.
        is_logged: whether loggers get it, too.
    """

    pixels: Grid
    part: str = ""
    is_logged: bool = True


class Figure(Drawing):
    """Draws into `figures/NAME/kimg_000160.000.png` of a run: at the end of fit, and in `validate` and `test`.

    For a trained run: `python cli.py test --config RUN.yaml --config addons/figures.yaml --ckpt_path last`.
    The loggers of TensorBoard and W&B get the pictures as `figures/NAME`. Drawing leaves training as it is: random
    state and the networks' modes are restored. The same weights and seed give the same pictures.

    Its place among the callbacks is behind those that average weights.

    Args:
        name: what the figure is called; two of a kind in one run need two names.
        every_kimg: thousands of images between pictures while fitting; None draws at the end alone.
        seed: latents, and the networks' noise, are a function of it.
        ema: show the averaged generator, if there is one.
        directory: where to; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for settings that cannot be drawn, and before training for a module that is no `GAN`.
    """

    folder: ClassVar[str] = "figures"

    def __init__(self, *, name: str, every_kimg: float | None, seed: int, ema: bool, directory: str | None) -> None:
        super().__init__(every_kimg=every_kimg, directory=directory)
        self.name = name
        self.seed = seed
        self.ema = ema

    @abstractmethod
    def pictures(self, module: GAN) -> Iterator[Picture]:
        """The figure's pictures, one after the other, of images that are sampled on every rank."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(pl_module, GAN):
            raise ValueError(
                f"{type(self).__name__}: {type(pl_module).__name__} is no lightning_gan.GAN, so how to sample it is "
                "not known; leave this figure out"
            )
        check_makes_images(type(self).__name__, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GAN)
        with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            for picture in self.pictures(pl_module):
                if not trainer.is_global_zero:
                    continue
                file = f"{self.name}/kimg_{self.kimg:010.3f}{picture.part}"
                if picture.is_logged:
                    title = f"{self.folder}/{self.name}{picture.part}"
                    self._publish(trainer, picture.pixels, file=file, title=title)
                else:
                    self._write(trainer, picture.pixels, file=file)

    def seed_noise(self, *position: int | str) -> None:
        """Have the networks draw the same noise from here on, whatever was drawn before."""
        torch.manual_seed(derived_seed(self.seed, "noise of samples", *position))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._read(pl_module)
            self.draw(trainer, pl_module)

    on_test_end = on_validation_end

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name)


class TruncationSweep(Figure):
    """The same latents under stronger and stronger truncation: a row for each, a column for each strength.

    Figure 8 of StyleGAN (Karras et al. 2019, arXiv:1812.04948), where 0 is the mean face and negative values are its
    opposites. For every GAN whose `sample` takes `truncation`; which values that are is the model's affair, and one
    that it does not take is refused before training.

    Args:
        truncations: values of `GAN.sample(truncation=...)`, psi in StyleGAN's figure.
        rows: how many latents.
        name: see `Figure`.
        every_kimg: see `Figure`.
        seed: see `Figure`.
        ema: see `Figure`.
        directory: see `Figure`.

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
        try_truncations(trainer, pl_module, self.truncations, ema=self.ema)

    def pictures(self, module: GAN) -> Iterator[Picture]:
        latents, labels = module.draw_latents(self.rows, seed=self.seed)
        columns = []
        for truncation in self.truncations:
            self.seed_noise()
            columns.append(sample_bytes(module, latents, labels, truncation=truncation, ema=self.ema))
        rows = list(torch.stack(columns, dim=1))  # columns channels height width, each
        labels_above = [f"truncation {truncation:g}" for truncation in self.truncations]
        yield Picture(pixels=Table(rows=rows, column_labels=labels_above).drawn())


class SampleSheets(Figure):
    """Uncurated samples: sheets of consecutive seeds, and on request a file for every image, nothing left out.

    A sheet is `figures/samples/kimg_000160.000/sheet_0003.png`, its latents those of `GAN.draw_latents` with the third
    seed after `seed`. The labels of a sheet go through the classes in turn; where columns are classes, they say so.

    Args:
        sheets: how many.
        rows: rows of images on a sheet.
        columns: images per row; None is one per class if there are 2 to 16, else 8.
        truncation: passed to `GAN.sample`; 1 shows the whole distribution.
        images: write every image also on its own, in its own size: `kimg_000160.000/images/000012.png`.
        name: see `Figure`.
        every_kimg: see `Figure`.
        seed: see `Figure`.
        ema: see `Figure`.
        directory: see `Figure`.

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
        try_truncations(trainer, pl_module, [self.truncation], ema=self.ema)

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


def check_counts(figure: str, **counts: int | None) -> None:
    """Refuse counts below 1; None is fine.

    Raises:
        ValueError: naming the figure and the count.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{figure}: {name}={count} must be at least 1")


def try_truncations(trainer: Trainer, module: LightningModule, truncations: Sequence[float], *, ema: bool) -> None:
    """Sample one image with each, so that a model which cannot says so before training and not after it.

    Raises:
        ValueError: the model's own.
    """
    assert isinstance(module, GAN)
    with isolate_rng(), trainer.precision_plugin.forward_context():
        latents, labels = module.draw_latents(1, seed=0)
        for truncation in truncations:
            if truncation != 1.0:
                module.sample(latents, labels, truncation=truncation, ema=ema)
