"""Figures of StyleGAN (Karras et al. 2019, arXiv:1812.04948) about the effects of styles and of noise.

Style mixing is the paper's figure 3; the effects of noise are its figures 4 and 5.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from einops import reduce, repeat
from jaxtyping import Float, UInt8
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.foreign.host_sampling import few_at_a_time
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.style_based import StyleBased, Styles, style_based_of
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.shapes import ImageBytes

PAPER_FINE_RESOLUTION = 64
"""Lowest resolution, in pixels, whose styles and noise the paper calls fine."""


@dataclass(frozen=True, kw_only=True)
class StyleRange:
    """A range of neighbouring layers that take their styles from source B.

    Args:
        name: name of the range in the figure, such as coarse.
        lowest: resolution of the first layer of the range, in pixels.
        highest: resolution of the last layer of the range, in pixels; it belongs to the range.
        rows: number of rows of the range in the figure, each with another image of source A.
    """

    name: str
    lowest: int
    highest: int
    rows: int = 2


def default_ranges(style_resolutions: Sequence[int]) -> list[StyleRange]:
    """Returns the paper's coarse (4 and 8), middle (16 and 32) and fine styles (64 and more).

    Networks below 64x64 get similar ranges of lower resolutions.

    Args:
        style_resolutions: resolution of every active layer, in pixels.

    Example:
        >>> [(part.name, part.lowest, part.highest) for part in default_ranges([4, 4, 8, 8, 16, 16, 32, 32])]
        [('coarse', 4, 4), ('middle', 8, 8), ('fine', 16, 32)]
    """
    levels = sorted(set(style_resolutions))
    middle, fine = (2, 4) if levels[-1] >= PAPER_FINE_RESOLUTION else (1, 2 if len(levels) > 2 else 1)
    parts = {"coarse": (levels[:middle], 3), "middle": (levels[middle:fine], 2), "fine": (levels[fine:], 1)}
    return [
        StyleRange(name=name, lowest=part[0], highest=part[-1], rows=rows)
        for name, (part, rows) in parts.items()
        if part
    ]


def default_fine_resolution(style_resolutions: Sequence[int]) -> int:
    """Returns the lowest resolution of fine layers: 64 as in the paper.

    In networks below 64x64, the upper half of the resolutions is fine.

    Args:
        style_resolutions: resolution of every active layer, in pixels.

    Example:
        >>> [default_fine_resolution([4 * 2**stage for stage in range(stages)]) for stages in (2, 3, 4, 5, 9)]
        [8, 8, 16, 64, 64]
    """
    levels = sorted(set(style_resolutions))
    return PAPER_FINE_RESOLUTION if levels[-1] >= PAPER_FINE_RESOLUTION else levels[len(levels) // 2]


class StyleFigure(PaperFigure):
    """A figure of a GAN that is `StyleBased`, drawn from truncated styles.

    Args:
        truncation: truncation of all styles; 1 does not truncate.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.
    """

    def __init__(
        self, *, truncation: float, name: str, every_kimg: float | None, seed: int, ema: bool, directory: str | None
    ) -> None:
        super().__init__(name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.truncation = truncation

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.style_based(pl_module)

    def style_based(self, module: LightningModule) -> StyleBased:
        """Returns the module as one that is `StyleBased`.

        Raises:
            ValueError: if the module has no styles.
        """
        return style_based_of(
            module,
            asker=type(self).__name__,
            remedy="leave this figure out, train a StyleGAN, or give the module style_resolutions, styles and "
            "synthesize as lightning_gan.models.StyleGAN has them",
        )

    def _draw_styles(self, module: GAN, *, count: int) -> Styles:
        latents, labels = module.draw_latents(count, seed=self.seed)
        # FSDP2 takes the first module that runs as the root, which must be the whole network and not its mapping.
        module.sample(latents[:1], None if labels is None else labels[:1], ema=self.ema)
        return self.style_based(module).styles(latents, labels, truncation=self.truncation, ema=self.ema)

    def _synthesize(
        self,
        module: GAN,
        styles: Styles,
        *,
        noisy_layers: Collection[int] | None = None,
        fresh_noise: bool = False,
    ) -> ImageBytes:
        """Synthesizes images from styles in small batches; returns them as uint8 images in main memory."""
        styled = self.style_based(module)
        parts = (
            styled.synthesize(styles[few], noisy_layers=noisy_layers, fresh_noise=fresh_noise, ema=self.ema)
            for few in few_at_a_time(len(styles))
        )
        return torch.cat([to_bytes(part).cpu() for part in parts])


class StyleMixingGrid(StyleFigure):
    """Draws style mixing, figure 3 of StyleGAN: images of sources A (left) with some styles of sources B (top).

    Each range of layers has its own rows, in which these layers take their styles from B. The noise is the same in
    every row. The class of an image is part of its styles; the classes of the sources are 0, 1, 2 and so on in turn.

    Args:
        ranges: ranges of layers that take their styles from B, from coarse to fine; None takes the paper's ranges, or
            similar ones in networks below 64x64. Resolutions that are not active are left out, and so are ranges
            without active resolutions.
        columns: number of sources B, one per column.
        truncation: truncation of all styles; 1 does not truncate.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for counts below 1 and empty ranges, and before training for a module without styles.
    """

    def __init__(
        self,
        *,
        ranges: list[StyleRange] | None = None,
        columns: int = 6,
        truncation: float = 1.0,
        name: str = "style_mixing",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, columns=columns)
        for part in ranges or []:
            check_counts(f"{type(self).__name__}: range {part.name!r}", rows=part.rows)
            if part.lowest > part.highest:
                raise ValueError(f"StyleMixingGrid: {part} is empty; lowest must not be above highest")
        super().__init__(
            truncation=truncation, name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory
        )
        self.ranges = ranges
        self.columns = columns

    def pictures(self, module: GAN) -> Iterator[Picture]:
        style_resolutions = self.style_based(module).style_resolutions
        resolutions = torch.tensor(style_resolutions)
        ranges = self.ranges or default_ranges(style_resolutions)
        bands = [(part, (part.lowest <= resolutions) & (resolutions <= part.highest)) for part in ranges]
        bands = [(part, from_b) for part, from_b in bands if from_b.any()]
        all_styles = self._draw_styles(module, count=self.columns + sum(part.rows for part, _ in bands))
        sources_b, sources_a = all_styles[: self.columns], all_styles[self.columns :]
        rows = [self._row(module, torch.cat([sources_b[:1], sources_b]))]  # the corner covers the first image
        labels_left = [""]
        taken_by_rows = [(part, from_b) for part, from_b in bands for _ in range(part.rows)]
        for source_a, (part, from_b) in zip(sources_a, taken_by_rows, strict=True):
            mixed = torch.where(from_b.to(source_a.device)[:, None], sources_b, source_a)
            rows.append(self._row(module, torch.cat([source_a[None], mixed])))
            labels_left.append(f"{part.name} styles\n({_span(resolutions[from_b].tolist())})\nfrom B")
        table = Table(
            rows=rows,
            row_labels=labels_left,
            column_labels=["", *["source B"] * self.columns],
            gaps_above=list(accumulate([1, *(part.rows for part, _ in bands[:-1])])),
            gaps_left=[1],
            corner="source A",
        )
        yield Picture(pixels=table.drawn())

    def _row(self, module: GAN, styles: Styles) -> ImageBytes:
        """The images of a row; every row has the same noise."""
        self.seed_noise()
        return self._synthesize(module, styles)


def _span(resolutions: Sequence[int]) -> str:
    """The first and the last resolution, in characters that the font has."""
    lowest, highest = min(resolutions), max(resolutions)
    return f"{lowest}" if lowest == highest else f"{lowest}-{highest}"


class NoiseComparison(StyleFigure):
    """Draws the effects of noise, figures 4 and 5 of StyleGAN, in two pictures with one row per latent.

    `..._realizations.png` shows images with the same styles and different noise, and the standard deviation of each
    pixel over many of them, averaged over channels. The largest standard deviation is white; the label gives it on the
    scale from 0 to 255. `..._layers.png` shows images with noise in all layers, in no layer, in the fine layers and in
    the coarse layers; the noise of the other layers is zero.

    Args:
        rows: number of latents, one per row.
        realizations: number of images with different noise that are shown side by side.
        measured_realizations: number of images with different noise that the standard deviation is computed from, at
            least 2 and at least `realizations`; 100 in the paper.
        fine_resolution: lowest resolution of the fine layers, in pixels; None is 64, or less in networks below 64x64.
        truncation: truncation of all styles; 1 does not truncate.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for counts out of range, and before training for a module without styles.
    """

    def __init__(
        self,
        *,
        rows: int = 3,
        realizations: int = 4,
        measured_realizations: int = 100,
        fine_resolution: int | None = None,
        truncation: float = 1.0,
        name: str = "noise",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, rows=rows, realizations=realizations, fine_resolution=fine_resolution)
        if measured_realizations < max(2, realizations):
            raise ValueError(
                f"NoiseComparison: measured_realizations={measured_realizations} must be at least 2, and no less than "
                f"realizations={realizations}"
            )
        super().__init__(
            truncation=truncation, name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory
        )
        self.rows = rows
        self.realizations = realizations
        self.measured_realizations = measured_realizations
        self.fine_resolution = fine_resolution

    def pictures(self, module: GAN) -> Iterator[Picture]:
        all_styles = self._draw_styles(module, count=self.rows)
        yield self._realizations(module, all_styles)
        yield self._layers(module, all_styles, resolutions=self.style_based(module).style_resolutions)

    def _realizations(self, module: GAN, all_styles: Styles) -> Picture:
        shown, deviations = [], []
        for row, styles in enumerate(all_styles):
            self.seed_noise("realizations", row)
            repeated = repeat(styles, "layers dim -> count layers dim", count=self.measured_realizations)
            images = self._synthesize(module, repeated, fresh_noise=True)
            shown.append(images[: self.realizations])
            deviations.append(noise_deviation(images))
        largest = float(max(deviation.max() for deviation in deviations))
        rows = [
            torch.cat([images, _as_images(deviation, like=images, largest=largest)])
            for images, deviation in zip(shown, deviations, strict=True)
        ]
        above = [f"noise {index + 1}" for index in range(self.realizations)]
        deviation_label = f"standard deviation, up to {largest:.1f} of 255"
        table = Table(rows=rows, column_labels=[*above, deviation_label], gaps_left=[self.realizations])
        return Picture(pixels=table.drawn(), part="_realizations")

    def _layers(self, module: GAN, all_styles: Styles, *, resolutions: list[int]) -> Picture:
        fine_from = self.fine_resolution or default_fine_resolution(resolutions)
        fine = [layer for layer, resolution in enumerate(resolutions) if resolution >= fine_from]
        coarse = [layer for layer, resolution in enumerate(resolutions) if resolution < fine_from]
        noisy = {
            "noise in all layers": [*coarse, *fine],
            "no noise": [],
            f"noise in fine layers ({fine_from} and more)": fine,
            f"noise in coarse layers (below {fine_from})": coarse,
        }
        columns = []
        for layers in noisy.values():
            self.seed_noise("layers")
            columns.append(self._synthesize(module, all_styles, noisy_layers=layers, fresh_noise=True))
        table = Table(rows=list(torch.stack(columns, dim=1)), column_labels=list(noisy))
        return Picture(pixels=table.drawn(), part="_layers")


def noise_deviation(images: ImageBytes) -> Float[Tensor, "height width"]:
    """Computes the standard deviation of each pixel over the batch, averaged over channels, on the scale 0 to 255.

    Args:
        images: uint8 images, `batch channels height width`.
    """
    # One channel at a time, because a batch of large images takes four times as much memory in fp32.
    deviations = torch.stack([channel.float().std(dim=0, correction=0) for channel in images.unbind(1)])
    return reduce(deviations, "channels height width -> height width", "mean")


def _as_images(
    deviation: Float[Tensor, "height width"], *, like: ImageBytes, largest: float
) -> UInt8[Tensor, "1 c h w"]:
    """The deviations as one grey image with the channels of the images `like`; the largest deviation is white."""
    grey = (deviation * (255 / max(largest, 1e-9))).round().to(torch.uint8)
    image = repeat(grey, "h w -> 1 c h w", c=like.shape[1])
    if like.shape[1] == 4:
        image[:, 3] = 255  # opaque
    return image
