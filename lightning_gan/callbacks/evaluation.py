"""Evaluation: how close a generator's images are to the real ones, while it trains, and in `validate` and `test`.

The feature extractor sees every image once; all numbers come from those features (`lightning_gan.metrics`).
"""

import math
from collections.abc import Callable, Sized
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gan.callbacks.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.callbacks.ema import EMA
from lightning_gan.gan import GAN, evaluation_mode
from lightning_gan.image_bytes import to_bytes
from lightning_gan.metrics import DigitFeatures, FeatureSet, frechet_floor
from lightning_gan.metrics.report import Record, class_counts, compare_features, table, write_record
from lightning_gan.observe import tensors_of
from lightning_gan.seeds import derived_seed
from lightning_gan.shapes import Features


@dataclass(frozen=True)
class Reals:
    """Features of all real images, and the Fréchet distance between two halves of them. Rank 0 alone has them."""

    features: Features
    floor: float


def images_of(batch: Any) -> Tensor:
    """The images of a batch: its first tensor with four dimensions.

    Raises:
        ValueError: if there is none.
    """
    for tensor in tensors_of(batch):
        if tensor.dim() == 4:
            return tensor
    raise ValueError(
        f"Evaluation: no images [batch, channels, height, width] in a batch of type {type(batch).__name__}"
    )


class Evaluation(ImageClock):
    """Compares generated with real images, and logs, prints and writes what it finds.

    While fitting it evaluates every `every_kimg` thousand images and at the end, against the images of the validation
    dataloader, whose features it computes once. In `validate` and `test` the reals are those of the loop's own batches.
    Of several dataloaders it reads the first.

    Results: `metrics/...` in the loggers and in `trainer.callback_metrics` (a checkpoint may monitor
    `metrics/frechet_distance`), `metrics.json` in `trainer.default_root_dir`, and a table on the terminal. Evaluating
    leaves training as it was: random state and modes of the networks are put back. A `fast_dev_run` is not evaluated.

    It works on a `GAN`, and with `sampler` on any LightningModule. Real images are a batch's first tensor with four
    dimensions, uint8 or float in [-1, 1]. Its place among the callbacks is behind those that average weights.

    Args:
        extractor: makes features `[batch, features]` of uint8 images with 1 or 3 channels. It is frozen, and no part of
            checkpoints.
        every_kimg: thousands of real images between evaluations while fitting; None evaluates at the end only.
        fake_count: images to generate. Distances of different counts are not comparable.
        batch_size: images to generate at once, on each rank. Where networks draw noise, it changes the images.
        seed: latents, noise and random subsets are a function of it.
        truncation: passed to `GAN.sample`.
        ema: passed to `GAN.sample`. Other modules are always evaluated with the weights that `EMA` averages.
        neighbours: k of precision, recall, density and coverage.
        kernel_subsets: how many random subsets the kernel distance averages over.
        kernel_subset_size: samples per subset; all of them where there are fewer, as the record then says.
        sampler: gives images `[count, channels, height, width]` in about [-1, 1] of a module that is no `GAN`, from
            (module, count, seed). It is called per batch, with networks in evaluation mode and without gradients.
        name: what the loggers' names begin with, and the name of the JSON file; two evaluations in one run need two.

    Raises:
        ValueError: for settings that cannot be evaluated, and before training starts for a run that cannot be.
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
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        name: str = "metrics",
    ) -> None:
        counts = {"batch_size": batch_size, "neighbours": neighbours, "kernel_subsets": kernel_subsets}
        for setting, count in counts.items():
            if count < 1:
                raise ValueError(f"Evaluation: {setting}={count} must be at least 1")
        if fake_count <= neighbours:
            raise ValueError(f"Evaluation: fake_count={fake_count} must be above neighbours={neighbours}")
        if kernel_subset_size < 2:
            raise ValueError(f"Evaluation: kernel_subset_size={kernel_subset_size} must be at least 2")
        if sampler is not None and (truncation != 1.0 or not ema):
            raise ValueError("Evaluation: truncation and ema are passed to GAN.sample; with a sampler, set them there")
        self.extractor = extractor.requires_grad_(False).eval()
        self.every_kimg = every_kimg
        self.fake_count = fake_count
        self.batch_size = batch_size
        self.seed = seed
        self.truncation = truncation
        self.ema = ema
        self.neighbours = neighbours
        self.kernel_subsets = kernel_subsets
        self.kernel_subset_size = kernel_subset_size
        self.sampler = sampler
        self.name = name
        self._every_images = None if every_kimg is None else images_of_kimg("Evaluation: every_kimg", every_kimg)
        self._evaluated_at: int | None = None
        self._latest: Record | None = None
        self._validation_reals: Reals | None = None
        self._loop_features = FeatureSet()

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.sampler is None and not isinstance(pl_module, GAN):
            raise ValueError(
                f"Evaluation: how to draw images from {type(pl_module).__name__} is unknown, because it is no "
                "lightning_gan.gan.GAN; give sampler=, a function of (module, count, seed) that makes images in [-1, 1]"
            )
        features = self.extractor.cpu()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]
        if self.fake_count <= features:
            rank_zero_warn(
                f"Evaluation: the covariance of {features} features needs more than fake_count={self.fake_count} "
                f"images; Frechet distances will be far too large. Set fake_count to several times {features}"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Lightning sets the validation data up before this only if it validates in the first epoch: do the same as it.
        if trainer._evaluation_loop._combined_loader is None and trainer.enable_validation:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
            trainer.training = True
        if trainer._evaluation_loop._combined_loader is not None or _skipped(trainer):
            return
        problem = (
            "Evaluation: nothing to compare with while fitting; give the module a validation_step and the run a "
            "validation dataloader, and leave limit_val_batches above 0"
        )
        if self._every_images is not None:
            raise ValueError(f"{problem}, or set every_kimg to null")
        rank_zero_warn(f"{problem}. There will be no evaluation at the end of fit")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._every_images is None or _skipped(trainer):
            return
        if crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images):
            record = self._evaluate_fit(trainer, pl_module)
            # For whoever monitors them. Loggers have them already: Lightning would spare loggers most steps' numbers.
            pl_module.log_dict(self._logged(record), logger=False, rank_zero_only=False)
            numbers = record["metrics"]
            trainer.print(
                f"{record['kimg']:.1f} kimg: Frechet distance {numbers['frechet_distance']:.2f}, "
                f"{numbers['frechet_to_floor']:.1f} times the floor; precision {numbers['precision']:.3f}, "
                f"recall {numbers['recall']:.3f}"
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if _skipped(trainer) or trainer._evaluation_loop._combined_loader is None:
            return
        if self._evaluated_at != self.images_seen:
            self._evaluate_fit(trainer, pl_module)
        assert self._latest is not None
        trainer.print(table(self._latest))

    def _evaluate_fit(self, trainer: Trainer, module: LightningModule) -> Record:
        with isolate_rng(), evaluation_mode(module), torch.no_grad():
            if self._validation_reals is None:
                features = FeatureSet().to(module.device)
                limit = trainer.num_val_batches[0]
                for batch in islice(_loader(trainer), None if limit == math.inf else int(limit)):
                    self._add_reals(trainer, features, batch)
                self._validation_reals = self._reals(trainer, features)
            self._latest = self._evaluate(trainer, module, self._validation_reals, stage="fit")
        self._evaluated_at = self.images_seen
        step = int(self.kimg) if isinstance(module, GAN) else trainer.global_step
        for logger in trainer.loggers:
            logger.log_metrics(self._logged(self._latest), step=step)
        return self._latest

    # ------------------------------------------------------------------ validate and test

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._read(pl_module)
        self._loop_features = FeatureSet().to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING and dataloader_idx == 0 and not _skipped(trainer):
            self._add_reals(trainer, self._loop_features, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING or _skipped(trainer):
            return
        assert trainer.state.fn is not None
        with isolate_rng(), evaluation_mode(pl_module), torch.no_grad():
            reals = self._reals(trainer, self._loop_features)
            record = self._evaluate(trainer, pl_module, reals, stage=trainer.state.fn.value)
        self._loop_features.reset()
        # A metric named "step" is the loggers' axis; a GAN's has thousands of images.
        axis = {"step": self.kimg} if isinstance(pl_module, GAN) else {}
        pl_module.log_dict(self._logged(record) | axis, rank_zero_only=False)
        trainer.print(table(record))

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    # ------------------------------------------------------------------ the evaluation

    def _add_reals(self, trainer: Trainer, features: FeatureSet, batch: Any) -> None:
        """Features of this rank's batch, at the positions that its images have in the data set."""
        images = images_of(batch).to(features.device)
        taken = sum(len(positions) for positions in features.positions)
        positions = torch.arange(taken, taken + len(images))
        loader = _loader(trainer)
        sampler = loader.sampler if isinstance(loader, DataLoader) else None
        if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
            # It deals the data set out in turn, and repeats its first images so that every rank has as many.
            positions = positions * sampler.num_replicas + sampler.rank
            positions[positions >= len(cast("Sized", sampler.dataset))] = -1
        else:
            positions += trainer.global_rank << 40  # parts that follow each other, as data modules here deal them
        features.update(self._extract(images), positions)

    def _reals(self, trainer: Trainer, features: FeatureSet) -> Reals:
        gathered = _where_doubles_are(features.compute())
        if not trainer.is_global_zero:
            return Reals(features=gathered[:0], floor=math.nan)
        return Reals(features=gathered, floor=frechet_floor(gathered, seed=derived_seed(self.seed, "halves")).item())

    def _fakes(self, trainer: Trainer, module: LightningModule) -> Features:
        """Features of all fakes, on every rank. Batches and their seeds are the same whatever the number of ranks."""
        if isinstance(module, GAN):
            latents, labels = module.draw_latents(self.fake_count, seed=self.seed)
        features = FeatureSet().to(module.device)
        starts = range(0, self.fake_count, self.batch_size)
        for turn in range(math.ceil(len(starts) / trainer.world_size)):
            index = turn * trainer.world_size + trainer.global_rank
            # Sharded networks need every rank in every forward: a rank without a batch left repeats the first in vain.
            start = starts[index] if index < len(starts) else 0
            positions = torch.arange(start, min(start + self.batch_size, self.fake_count))
            seed = derived_seed(self.seed, "fakes", start)
            torch.manual_seed(seed)
            with trainer.precision_plugin.forward_context():
                if self.sampler is not None:
                    images = self.sampler(module, len(positions), seed)
                else:
                    assert isinstance(module, GAN)
                    classes = None if labels is None else labels[positions]
                    images = module.sample(latents[positions], classes, truncation=self.truncation, ema=self.ema)
            features.update(self._extract(images), positions if index < len(starts) else torch.full_like(positions, -1))
        return _where_doubles_are(features.compute())

    def _extract(self, images: Tensor) -> Features:
        images = images if images.dtype == torch.uint8 else to_bytes(images)
        features: Features = self.extractor.to(images.device)(images)
        return features

    def _evaluate(self, trainer: Trainer, module: LightningModule, reals: Reals, *, stage: str) -> Record:
        """The record on every rank; rank 0 computes it and writes it."""
        averages = [callback for callback in trainer.callbacks if isinstance(callback, EMA)]  # type: ignore[attr-defined]
        with ExitStack() as stack:
            for callback in averages:
                stack.enter_context(callback.applied(module))
            fakes = self._fakes(trainer, module)
        record = (
            self._record(module, reals, fakes, stage=stage, averaged=bool(averages)) if trainer.is_global_zero else {}
        )
        record = trainer.strategy.broadcast(record)
        if trainer.is_global_zero:
            write_record(record, Path(trainer.default_root_dir) / f"{self.name}.json")
        return record

    def _record(self, module: LightningModule, reals: Reals, fakes: Features, *, stage: str, averaged: bool) -> Record:
        real = reals.features
        subset_size = min(self.kernel_subset_size, len(real), len(fakes))
        numbers = compare_features(
            real,
            fakes,
            floor=reals.floor,
            neighbours=self.neighbours,
            kernel_subsets=self.kernel_subsets,
            kernel_subset_size=subset_size,
            seed=derived_seed(self.seed, "subsets"),
        )
        if isinstance(self.extractor, DigitFeatures):
            numbers |= class_counts(self.extractor.to(fakes.device).classify_features(fakes))
        return {
            "stage": stage,
            "kimg": self.kimg,
            "extractor": type(self.extractor).__name__,
            "real_count": len(real),
            "fake_count": len(fakes),
            "seed": self.seed,
            "truncation": self.truncation if self.sampler is None else None,
            "ema": self.ema and module.averaged if isinstance(module, GAN) else averaged,
            "neighbours": self.neighbours,
            "kernel_subsets": self.kernel_subsets,
            "kernel_subset_size": subset_size,
            "metrics": numbers,
        }

    def _logged(self, record: Record) -> dict[str, float]:
        return {f"{self.name}/{key}": value for key, value in record["metrics"].items()} | {"kimg": record["kimg"]}

    @property
    def state_key(self) -> str:
        return self._generate_state_key(name=self.name)


def _skipped(trainer: Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def _loader(trainer: Trainer) -> Any:
    """The running loop's first dataloader. (`trainer.val_dataloaders` may be an earlier fit's while validating.)"""
    combined = trainer._evaluation_loop._combined_loader
    assert combined is not None
    return combined.flattened[0]


def _where_doubles_are(features: Features) -> Features:
    """On the CPU instead of Apple's GPU, which has no float64."""
    return features.cpu() if features.device.type == "mps" else features
