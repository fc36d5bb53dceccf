"""The metrics of PGGAN (Karras et al. 2018, arXiv:1710.10196, section 5): sliced Wasserstein distance and MS-SSIM.

`lightning_gan.metrics` holds the mathematics.
"""

from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.evaluation.comparison import Comparison, Reals
from lightning_gan.callbacks.evaluation.gathering import Described, where_doubles_are
from lightning_gan.callbacks.evaluation.measurement import skipped
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing, growing_of
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.metrics.report import Better, Record
from lightning_gan.metrics.sliced_wasserstein import PATCH_SIZE, descriptors, level_sides, patch_distance_x1000
from lightning_gan.metrics.structural_similarity import multi_scale_similarity
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, ImageBytes

FLOOR = "its floor: two halves of the reals"
"""Title in the printed table of the distance between two sets of real images."""


class FullSizeComparison(Comparison, ABC):
    """Base class of comparisons of images at their full size, which a network that still grows does not make yet.

    While it grows, nothing is measured.
    """

    def is_ready(self, trainer: Trainer) -> bool:
        growing = growing_of(trainer)
        # Networks grow when a batch begins, so that their size is that of the images before the last batch.
        return growing is None or (
            growing.schedule.resolution_at(self.images_before) == growing.schedule.final_resolution
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        growing = growing_of(trainer)
        if growing is None or skipped(trainer) or self.is_ready(trainer):
            super().on_train_end(trainer, pl_module)
            return
        now, full = growing.schedule.resolution_at(self.images_before), growing.schedule.final_resolution
        trainer.print(
            f"{self.title}: training ends at {now}x{now} pixels, before the networks have grown to {full}x{full}, so "
            "that nothing is measured"
        )

    def first_resolution(self, growing: ProgressiveGrowing) -> int:
        return growing.schedule.final_resolution


class SlicedWasserstein(FullSizeComparison):
    """Measures the sliced Wasserstein distance of 7 x 7 patches at every level of the Laplacian pyramid.

    It is the papers' SWD x 1000 (Karras et al. 2018, arXiv:1710.10196, section 5). As many real images as generated
    ones are compared; if there are more real images, they are drawn at random. The floor that is logged beside the
    distance is the same distance between two disjoint sets of real images, each of `fake_count` images, or of half the
    real images if there are fewer.

    Patches are kept in main memory, images are not: 0.5 MiB per colour image of 1024 x 1024 pixels. The trainer's
    `limit_val_batches` limits the number of real images.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        fake_count: number of images to generate; 16,384 in the paper. Distances of different counts are not comparable.
        batch_size: number of images that each rank generates at once. If networks draw noise, it changes the images.
        patches_per_image: number of patches that are taken from each image, at each level.
        repeats: number of times that a new set of random directions is drawn; the distance is averaged over all.
        directions: number of random directions in each set.
        seed: integer that determines the latents, the noise, the patches and the directions.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for settings out of range, and at the first image if its shorter side is below 16 pixels or its
            sides cannot be halved for every level.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None = None,
        fake_count: int = 16384,
        batch_size: int = 128,
        patches_per_image: int = 128,
        repeats: int = 4,
        directions: int = 128,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        real: Callable[[Any], Tensor] | None = None,
        value_range: Sequence[float] | None = None,
        name: str = "metrics",
    ) -> None:
        super().__init__(
            every_kimg=every_kimg,
            fake_count=fake_count,
            batch_size=batch_size,
            seed=seed,
            truncation=truncation,
            ema=ema,
            sampler=sampler,
            real=real,
            value_range=value_range,
            name=name,
        )
        self.check_counts(
            fake_count=fake_count, patches_per_image=patches_per_image, repeats=repeats, directions=directions
        )
        self.patches_per_image = patches_per_image
        self.repeats = repeats
        self.directions = directions
        self._device = torch.device("cpu")
        self._sides: list[int] = []

    @property
    def least_reals(self) -> int:
        return 2

    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        # Patches are kept in main memory; distances are computed on the device of the images.
        self._device, self._sides = images.device, level_sides(*images.shape[-2:])
        levels = descriptors(images.float(), positions, per_image=self.patches_per_image, seed=self.seed)
        return [Described(level.cpu(), positions) for level in levels]

    def floors(self, reals: list[Rows]) -> dict[str, float]:
        order = self._order(reals[0])
        count = self._floor_count(len(order))
        pairs = ((level[order[:count]], level[order[count : 2 * count]]) for level in reals)
        return self._distances(pairs, name="sliced_wasserstein_floor_x1000")

    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
        order = self._order(reals.parts[0])[: self.fake_count]
        pairs = ((real[order], fake[: len(order)]) for real, fake in zip(reals.parts, fakes, strict=True))
        return {
            "real_count": len(reals.parts[0]),
            **drawn,
            "compared_count": len(order),
            "floor_count": self._floor_count(len(reals.parts[0])),
            "patches_per_image": self.patches_per_image,
            "repeats": self.repeats,
            "directions": self.directions,
            "metrics": self._distances(pairs, name="sliced_wasserstein_x1000") | reals.floors,
        }

    def titles(self) -> dict[str, str]:
        title = "sliced Wasserstein distance x 1000"
        levels = {f"sliced_wasserstein_x1000_at_{side}": f"  {title}, {side} pixels" for side in self._sides} | {
            f"sliced_wasserstein_floor_x1000_at_{side}": f"  {FLOOR}, {side} pixels" for side in self._sides
        }
        return {"sliced_wasserstein_x1000": title, "sliced_wasserstein_floor_x1000": FLOOR, **levels}

    def better(self) -> dict[str, Better]:
        levels = (f"sliced_wasserstein_x1000_at_{side}" for side in self._sides)
        return dict.fromkeys(("sliced_wasserstein_x1000", *levels), "less")

    def headline(self, numbers: dict[str, float]) -> str:
        return (
            f"sliced Wasserstein distance x 1000 {numbers['sliced_wasserstein_x1000']:.2f}, "
            f"floor {numbers['sliced_wasserstein_floor_x1000']:.2f}"
        )

    def _distances(self, pairs: Iterator[tuple[Features, Features]], *, name: str) -> dict[str, float]:
        """The mean distance over levels under `name`, and the distance of every level, finest first."""
        distances = {}
        for level, pair in enumerate(pairs):
            first, second = (described.to(self._device) for described in pair)
            distances[self._sides[level]] = patch_distance_x1000(
                first,
                second,
                channels=first.shape[1] // (self.patches_per_image * PATCH_SIZE**2),
                repeats=self.repeats,
                directions=self.directions,
                seed=derived_seed(self.seed, "directions", level),
            )
        mean = sum(distances.values()) / len(distances)
        return {name: mean, **{f"{name}_at_{side}": distance for side, distance in distances.items()}}

    def _floor_count(self, reals: int) -> int:
        return min(self.fake_count, reals // 2)

    def _order(self, reals: Features) -> Tensor:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order of reals"))
        return torch.randperm(len(reals), generator=generator)


class MultiScaleSimilarity(FullSizeComparison):
    """Measures the mean MS-SSIM of pairs of generated images and of pairs of real images.

    A lower MS-SSIM means more variety (Karras et al. 2018, arXiv:1710.10196, section 5). The number does not measure
    the quality of images, and it shows a lack of variety only if it is higher for generated images than for real ones.
    The images of a batch are paired at random, because generated images have the classes in turn: neighbours would
    never be of the same class. Real data sorted by class should be shuffled.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        fake_count: number of images to generate, even; 20,000 in the paper, which are 10,000 pairs.
        batch_size: number of images that each rank generates at once, even.
        seed: integer that determines the latents and the noise.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for odd counts, and at the first image if its sides are below 16 pixels.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None = None,
        fake_count: int = 20000,
        batch_size: int = 100,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        real: Callable[[Any], Tensor] | None = None,
        value_range: Sequence[float] | None = None,
        name: str = "metrics",
    ) -> None:
        super().__init__(
            every_kimg=every_kimg,
            fake_count=fake_count,
            batch_size=batch_size,
            seed=seed,
            truncation=truncation,
            ema=ema,
            sampler=sampler,
            real=real,
            value_range=value_range,
            name=name,
        )
        self.check_counts(fake_count=fake_count)
        if fake_count % 2 or batch_size % 2:
            raise ValueError(
                f"MultiScaleSimilarity: fake_count={fake_count} and batch_size={batch_size} must be even, because "
                "images are compared in pairs"
            )

    @property
    def least_reals(self) -> int:
        return 2

    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        first, second = self._pairs(positions)
        images = where_doubles_are(images)
        # A pair that contains a duplicate is left out, because the set contains that image already.
        places = torch.where(positions[second] < 0, positions[second], positions[first])
        similarities = multi_scale_similarity(images[first].double(), images[second].double())
        return [Described(similarities[:, None], places)]

    def _pairs(self, positions: Int64[Tensor, " batch"]) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
        """The places of both images of all pairs of a batch. Duplicates come last, so that they leave out few pairs."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "pairs"))
        order = torch.randperm(len(positions), generator=generator).to(positions.device)
        order = order[(positions[order] < 0).int().argsort(stable=True)][: len(positions) // 2 * 2]
        return order[0::2], order[1::2]

    def floors(self, reals: list[Rows]) -> dict[str, float]:
        if not len(reals[0]):
            raise ValueError("MultiScaleSimilarity: no pair of real images; give batches of at least 2 images")
        return {"ms_ssim_of_reals": reals[0].double().mean().item()}

    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
        numbers = {"ms_ssim": fakes[0].double().mean().item(), **reals.floors}
        return {"real_pairs": len(reals.parts[0]), **drawn, "fake_pairs": len(fakes[0]), "metrics": numbers}

    def titles(self) -> dict[str, str]:
        return {"ms_ssim": "MS-SSIM of pairs of fakes", "ms_ssim_of_reals": "MS-SSIM of pairs of reals"}

    def headline(self, numbers: dict[str, float]) -> str:
        return f"MS-SSIM {numbers['ms_ssim']:.3f}, of reals {numbers['ms_ssim_of_reals']:.3f}"
