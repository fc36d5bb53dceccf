"""The evaluation of generated images by their distance to real images in a feature space.

Each image passes the feature extractor once; `lightning_gan.metrics` computes all numbers from these features.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_gan.callbacks.evaluation.comparison import Comparison, Reals
from lightning_gan.callbacks.evaluation.gathering import Described
from lightning_gan.callbacks.evaluation.guarded import applied
from lightning_gan.callbacks.evaluation.held_out import HeldOut
from lightning_gan.callbacks.evaluation.nearest_images import nearest_picture, thumbnails
from lightning_gan.callbacks.figures.pictures import Grid, write_png
from lightning_gan.metrics import DigitFeatures, class_frechet_distances, frechet_floor, inception_score
from lightning_gan.metrics.class_frechet import LEAST_OF_A_CLASS
from lightning_gan.metrics.extractors import ClassifyingFeatures, FeatureExtractor
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.metrics.frechet_extrapolation import LEAST_FAKES
from lightning_gan.metrics.report import (
    ERROR,
    Better,
    Record,
    class_counts,
    class_numbers,
    compare_features,
    share_of_class,
)
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, ImageBytes

NEAREST = "nearest"
"""Folder of the pictures of nearest real images, in the trainer's `default_root_dir`."""

TITLES_OF_CLASSES = {
    "classes_present": "classes that occur",
    "effective_classes": "effective number of classes",
    "asked_class": "share of the class asked for",
}
"""Titles in the printed table of the numbers that need an extractor which classifies."""


def _is_coloured(images: Tensor) -> bool:
    """Whether the channels of images, `batch channels height width`, differ."""
    return bool((images != images[:, :1]).any())


class Evaluation(Comparison):
    """Compares generated images with real ones; logs, prints and writes the results.

    While fitting, the callback evaluates every `every_kimg` thousand images and at the end. It compares with the images
    of the validation dataloader, whose features it computes once. In `validate` and `test` it compares with the images
    of the loop's own batches. If there are several dataloaders, it reads the first.

    Results are logged as `metrics/...` in the loggers and in `trainer.callback_metrics`, also those of the end of fit.
    A `ModelCheckpoint` or `EarlyStopping` that monitors `metrics/frechet_distance` looks after each evaluation, and
    only then. Results are written to `metrics.json` in `trainer.default_root_dir`, and printed as a table. The
    evaluation does not change training: it restores the random state and the modes of the networks. In a
    `fast_dev_run` nothing is evaluated.

    Before the first training batch a few images are tried: an extractor that cannot take them, and too few real images,
    are refused before time is lost. Images and numbers that are not finite are errors, and are never written.

    The callback works on a `GAN`, and with `sampler` on any LightningModule. The real images of a batch are its only
    tensor with four dimensions, uint8, or float in [-1, 1]; `real` and `value_range` say otherwise. Real images that do
    not look like the generated ones are refused before training, and when `validate` and `test` begin.

    List it after callbacks that average weights.

    Args:
        extractor: network that computes features `[batch, features]` of uint8 images with 1 or 3 channels. It is frozen
            and not saved in checkpoints.
        every_kimg: thousands of real images between evaluations while fitting; None evaluates only at the end of fit.
        fake_count: number of images to generate. Distances of different counts are not comparable.
        batch_size: number of images that each rank generates at once. If networks draw noise, it changes the images.
        seed: integer that determines the latents, the noise and the random subsets.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        neighbours: number of neighbours, k, of precision, recall, density and coverage.
        kernel_subsets: number of random subsets that the kernel distance is averaged over.
        kernel_subset_size: number of samples in each subset, at least 2; all samples if there are fewer. The record
            states the number that was used.
        extrapolates: whether the Fréchet distance is also extrapolated to infinitely many images, with its standard
            error (FID-infinity with Inception's features). It takes fifteen times as long as the distance.
        score_splits: number of splits of the Inception Score, for extractors that classify.
        within_classes: whether the Fréchet distance is also measured within each class of a conditional `GAN`, whose
            mean and largest value are logged. It takes a distance for every class.
        nearest_images: number of generated images that are drawn beside the real images whose features are nearest, in
            `nearest/kimg_*.png`. All images are then kept in memory with at most 64 pixels along each side.
        held_out: data module of real images that the generator is not trained on, of the same kind. As many images of
            both are compared: the share of generated images that are nearer to a training image than to any held-out
            one is about one half, and more if training images are memorized.
        cache_reals: whether the features of the real images are kept in `~/.cache/lightning_gan/reals`, for later
            measurements on the same data with the same extractor. Its files may be deleted at any time.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`. It is called once per batch, with networks
            in evaluation mode and without gradients.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for settings out of range, and before training starts for a module or a run that cannot be
            evaluated.
    """

    def __init__(
        self,
        *,
        extractor: nn.Module,
        every_kimg: float | None = None,
        fake_count: int = 2500,
        batch_size: int = 100,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        neighbours: int = 3,
        kernel_subsets: int = 100,
        kernel_subset_size: int = 1000,
        extrapolates: bool = False,
        score_splits: int = 10,
        within_classes: bool = False,
        nearest_images: int = 0,
        held_out: LightningDataModule | None = None,
        cache_reals: bool = False,
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
        self.check_counts(neighbours=neighbours, kernel_subsets=kernel_subsets, score_splits=score_splits)
        if extrapolates and fake_count < LEAST_FAKES:
            raise ValueError(
                f"Evaluation: extrapolates=true needs fake_count={fake_count} to be at least {LEAST_FAKES}"
            )
        if fake_count <= neighbours:
            raise ValueError(f"Evaluation: fake_count={fake_count} must be above neighbours={neighbours}")
        if isinstance(extractor, ClassifyingFeatures) and fake_count < score_splits:
            raise ValueError(f"Evaluation: fake_count={fake_count} must be at least score_splits={score_splits}")
        if not 0 <= nearest_images <= fake_count:
            raise ValueError(f"Evaluation: nearest_images={nearest_images} must be 0 to fake_count={fake_count}")
        if kernel_subset_size < 2:
            raise ValueError(f"Evaluation: kernel_subset_size={kernel_subset_size} must be at least 2")
        self.extractor = extractor.requires_grad_(False).eval()
        self._features = 0  # known when the extractor has been tried
        self.neighbours = neighbours
        self.kernel_subsets = kernel_subsets
        self.kernel_subset_size = kernel_subset_size
        self.extrapolates = extrapolates
        self.score_splits = score_splits
        self.within_classes = within_classes
        self.nearest_images = nearest_images
        self.held_out = (
            None if held_out is None else HeldOut(held_out, describe=self._features_of, seed=seed, asker=self.title)
        )
        self.cache_reals = cache_reals
        self._real_shape: Sequence[int] = ()  # channels, height and width, known when real images have been tried
        self._thumbnail_shape: Sequence[int] = ()
        self._picture: Grid | None = None

    @property
    def compares_classes(self) -> bool:
        return self.within_classes

    @property
    def caches_reals(self) -> bool:
        return self.cache_reals

    def check(self, module: LightningModule) -> None:
        super().check(module)
        if not self.within_classes:
            return
        if self.sampler is not None:
            raise ValueError(f"{self.title}: within_classes=true is for a GAN with classes, and not for a sampler")
        classes = self._gan(module).number_of_classes
        if self.fake_count < LEAST_OF_A_CLASS * classes or classes == 0:
            remedy = "leave it out" if classes == 0 else f"set fake_count to at least {LEAST_OF_A_CLASS * classes}"
            raise ValueError(
                f"{self.title}: within_classes=true needs two images of each class, and fake_count={self.fake_count} "
                f"images of {classes} classes are generated; {remedy}"
            )

    @property
    def least_reals(self) -> int:
        return max(4, self.neighbours + 1)  # each half of the reals needs two for a covariance

    def try_out_with(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        self._real_shape = self.real_images(module).images(batch).shape[1:]
        super().try_out_with(trainer, module, batch)
        self.refuse_coloured(self.real_images(module).images(batch))
        if self.held_out is not None:
            self.held_out.check(self.real_images(module).images(batch))
        if self.few_images is not None:
            rank_zero_warn(self.few_images)

    def refuse_coloured(self, images: Tensor) -> None:
        """Refuses coloured real images for an extractor that knows grey digits alone.

        Args:
            images: some real images, `batch channels height width`.

        Raises:
            ValueError: if the extractor is `DigitFeatures` and the channels of the images differ.
        """
        if isinstance(self.extractor, DigitFeatures) and _is_coloured(images):
            raise ValueError(
                f"{self.title}: extractor=DigitFeatures knows the ten grey digits alone, and the real images are "
                "coloured; set extractor to lightning_gan.metrics.InceptionFeatures (FID) for images of 3 channels, or "
                "to RandomFeatures for comparing runs on the same data"
            )

    @property
    def few_images(self) -> str | None:
        """A remark if there are too few images for a covariance of the features; known when some were described."""
        if self.fake_count > self._features:
            return None
        return (
            f"{self.title}: the covariance of {self._features} features needs more than fake_count={self.fake_count} "
            f"images; Frechet distances will be far too large. Measure several times {self._features} images"
        )

    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        described = [Described(self._features_of(images), positions)]
        if self.nearest_images:
            few_pixels = thumbnails(images, like=self._real_shape[1:])
            self._thumbnail_shape = few_pixels.shape[1:]
            described.append(Described(few_pixels.flatten(1), positions))
        return described

    def _features_of(self, images: ImageBytes) -> Features:
        features = applied(self.extractor.to(images.device), images, asker=self.title, setting="extractor")
        if features.dim() != 2 or len(features) != len(images) or not features.is_floating_point():
            raise ValueError(
                f"{self.title}: extractor {type(self.extractor).__name__} returned {list(features.shape)} of "
                f"{features.dtype} for {len(images)} images; it must return features [batch, features] as floats"
            )
        self._features = features.shape[1]
        return features.float()

    def floors(self, reals: list[Rows]) -> dict[str, float]:
        return {"frechet": frechet_floor(reals[0], seed=derived_seed(self.seed, "halves")).item()}

    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
        real, fake = reals.parts[0], fakes[0]
        subset_size = min(self.kernel_subset_size, len(real), len(fake))
        numbers = compare_features(
            real,
            fake,
            floor=reals.floors["frechet"],
            extrapolates=self.extrapolates,
            neighbours=self.neighbours,
            kernel_subsets=self.kernel_subsets,
            kernel_subset_size=subset_size,
            seed=derived_seed(self.seed, "subsets"),
            asked=asked,
        )
        used: Record = {}
        if isinstance(self.extractor, ClassifyingFeatures):
            logits = self.extractor.to(fake.device).classify_features(fake)
            # Shuffled, because the classes of the fakes may be in order.
            order = torch.randperm(
                len(logits), generator=torch.Generator().manual_seed(derived_seed(self.seed, "splits"))
            )
            score = inception_score(logits[order.to(logits.device)], splits=self.score_splits)
            name = self.extractor.score_name
            used["score_splits"] = self.score_splits
            numbers |= {name: score.mean, f"{name}{ERROR}": score.deviation / math.sqrt(self.score_splits)}
            numbers[f"{name}_deviation"] = score.deviation
            if isinstance(self.extractor, DigitFeatures):
                numbers |= class_counts(logits)
                # The labels can be compared because the classes of this extractor are the ten digits.
                if asked is not None:
                    numbers["asked_class"] = share_of_class(logits, asked)
        if self.within_classes:
            assert reals.classes is not None and asked is not None
            numbers |= class_numbers(class_frechet_distances(real, reals.classes, fake, asked))
        if self.held_out is not None:
            numbers |= self.held_out.numbers(real, fake)
        if self.nearest_images:
            few = self.nearest_images
            fake_images, real_images = (
                rows.reshape(-1, *self._thumbnail_shape) for rows in (fakes[1][:few], reals.parts[1])
            )
            self._picture = nearest_picture(fake[:few], fake_images, real, real_images)
        return {
            "extractor": type(self.extractor).__name__,
            **(self.extractor.facts if isinstance(self.extractor, FeatureExtractor) else {}),
            "real_count": len(real),
            **drawn,
            "neighbours": self.neighbours,
            "kernel_subsets": self.kernel_subsets,
            "kernel_subset_size": subset_size,
            **used,
            "metrics": numbers,
        }

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        record = super().measured(trainer, module)
        if self._picture is not None:
            folder = Path(trainer.default_root_dir) / NEAREST
            write_png(folder / f"kimg_{self.kimg:010.3f}.png", self._picture)
            self._picture = None
        return record

    def titles(self) -> dict[str, str]:
        return {
            "frechet_distance": "Frechet distance",
            "frechet_floor": "  its floor: two halves of the reals",
            "frechet_to_floor": "  times the floor",
            "frechet_infinity": "  of infinitely many images",
            "class_frechet_distance": "Frechet distance within classes, mean",
            "largest_class_frechet_distance": "  the largest of the classes",
            "class_of_largest": "  the class that has it",
            "classes_compared": "  classes with two real images or more",
            "kernel_distance_x1000": "kernel distance x 1000",
            "inception_score": "Inception Score",
            "inception_score_deviation": "  its deviation over the splits",
            "digit_score": "score by the digits' classifier, as the Inception Score",
            "digit_score_deviation": "  its deviation over the splits",
            **{name: name for name in ("precision", "recall", "density", "coverage")},
            "nearer_to_training": "share nearer to training than to held-out images",
            "nearer_to_training_z": "  distance from one half, in standard errors",
            "held_out_count": "  training and held-out images of each kind",
            **(TITLES_OF_CLASSES if isinstance(self.extractor, DigitFeatures) else {}),
        }

    def better(self) -> dict[str, Better]:
        distances = ("frechet_distance", "frechet_infinity", "class_frechet_distance", "largest_class_frechet_distance")
        scores = ("precision", "recall", "density", "coverage", "inception_score", "digit_score")
        less: dict[str, Better] = dict.fromkeys((*distances, "kernel_distance_x1000"), "less")
        return less | dict.fromkeys(scores, "more")

    def headline(self, numbers: dict[str, float]) -> str:
        times = f", {numbers['frechet_to_floor']:.1f} times the floor" if "frechet_to_floor" in numbers else ""
        return (
            f"Frechet distance {numbers['frechet_distance']:.2f}{times}; "
            f"precision {numbers['precision']:.3f}, recall {numbers['recall']:.3f}"
        )
